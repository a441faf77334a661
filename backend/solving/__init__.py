"""The parts that `backend.pipeline` strings together: request, watching the video, checkpoint, preview, assembling clips.

May import every stage's room, `backend.types`, `backend.errors` and `blender_addon.motion`.
"""
