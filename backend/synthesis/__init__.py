"""Synthesis: training images of posed, dressed bodies with known truth.

May import `backend.types`, `backend.errors`, `backend.datasets` (mocap clips) and `blender_addon.motion`. torch comes
in only through the body package, lazily, inside `body_model`.
"""
