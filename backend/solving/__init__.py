"""The parts of `backend.pipeline`: request, networks, video pass, checkpoint, preview, path of a moving camera,
clip header and clip assembly.

May import every stage's room, `backend.types`, `backend.errors` and `blender_addon.motion`.
"""
