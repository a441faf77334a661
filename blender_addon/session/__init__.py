"""What the add-on holds while Blender runs: loaded clips, jobs, previews, options. May import bpy."""
