"""Motion: the clip, rotations, the canonical body, smoothing. numpy only, free of bpy: shared with the backend."""
