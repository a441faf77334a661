"""The parts of `backend.pipeline`: request, video pass, checkpoint, preview, clip assembly.

May import every stage's room, `backend.types`, `backend.errors` and `blender_addon.motion`.
"""
