"""Retarget: skeleton maps, automatic mapping, rest poses, the solve. numpy, `motion` and its own room; free of bpy.

`detect_map` (auto_map) finds the joints of a rig, `retarget` (solve) turns a clip into that rig's local rotations.
"""
