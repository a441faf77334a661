"""Blender's side of a rig: reading armatures, writing actions, previews, cameras, exports. May import bpy."""
