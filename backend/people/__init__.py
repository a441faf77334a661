"""People in a video: detect, follow with one identity each, choose. May import backend.networks, backend.types.

`track_people` does it all; `PeopleTracker` streams; `landmarks_on_crops` is the landmark network by itself.
"""

from backend.people.choose import choose_tracks
from backend.people.contact_sheet import draw_contact_sheet, frames_for_sheet, track_colour
from backend.people.landmarks import LandmarkBatch, landmarks_on_crops
from backend.people.networks import PeopleNetworks, load_landmark_network, load_people_networks
from backend.people.options import Choice, PeopleOptions, Quality, Selection
from backend.people.region import Roi
from backend.people.tracker import PeopleTracker
from backend.people.tracking import track_people

__all__ = [
    "Choice",
    "LandmarkBatch",
    "PeopleNetworks",
    "PeopleOptions",
    "PeopleTracker",
    "Quality",
    "Roi",
    "Selection",
    "choose_tracks",
    "draw_contact_sheet",
    "frames_for_sheet",
    "landmarks_on_crops",
    "load_landmark_network",
    "load_people_networks",
    "track_colour",
    "track_people",
]
