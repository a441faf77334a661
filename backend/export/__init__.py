"""Animation files through headless Blender: finding one, keeping one running, and the program that runs inside it.

May import stdlib and `backend.errors`. `inside_blender.py` alone runs in Blender's own Python and imports bpy and the
add-on's rooms: retarget, bake and export are the add-on's functions, here is no second implementation.
"""
