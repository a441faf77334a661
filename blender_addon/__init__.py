"""Marionet's Blender extension. Nothing here imports bpy, so that the backend can share wire/ and motion/."""
