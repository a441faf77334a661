"""Pictures that let a person check a result: overlay video, contact sheets, a plot over time.

May import numpy, OpenCV, PyAV, matplotlib, `backend.video`, `backend.camera`, `backend.types`, `backend.errors` and
`blender_addon.motion`.
"""

from backend.looking.glimpse import Glimpse, make_glimpse
from backend.looking.overlay import write_overlay
from backend.looking.plot import write_plot
from backend.looking.sheet import write_sheet

__all__ = ["Glimpse", "make_glimpse", "write_overlay", "write_plot", "write_sheet"]
