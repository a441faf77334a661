"""Images that let a person check a result: overlay video, contact sheets, a plot over time.

May import numpy, OpenCV, PyAV, matplotlib, `backend.video`, `backend.camera`, `backend.types`, `backend.errors` and
`blender_addon.motion`.
"""

from backend.visualization.contact_sheet import write_sheet
from backend.visualization.overlay import write_overlay
from backend.visualization.plot import write_plot
from backend.visualization.thumbnail import Thumbnail, make_thumbnail

__all__ = ["Thumbnail", "make_thumbnail", "write_overlay", "write_plot", "write_sheet"]
