"""World: metric root path, gravity, floor, contacts and planted feet.

May import `types`, `errors` and the add-on's `motion`. `place_in_world` places one person, `place_people` several;
`seen_joints` says how far each joint is seen, `scale_travel` the scale of a camera's path.
"""

from backend.world.people import PlacedPerson, place_people
from backend.world.place import place_in_world
from backend.world.seen_joints import seen_joints
from backend.world.travel_scale import scale_travel
from backend.world.world_track import Gravity, GravitySettings, RootSettings, WorldOptions, WorldTrack

__all__ = [
    "Gravity",
    "GravitySettings",
    "PlacedPerson",
    "RootSettings",
    "WorldOptions",
    "WorldTrack",
    "place_in_world",
    "place_people",
    "scale_travel",
    "seen_joints",
]
