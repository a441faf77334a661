"""World: metric root path, gravity, floor, contacts and planted feet.

May import `types`, `errors` and the add-on's `motion`. `place_in_world` is the way in.
"""

from backend.world.place import place_in_world, shared_world
from backend.world.world_track import Gravity, GravitySettings, RootSettings, WorldOptions, WorldTrack

__all__ = [
    "Gravity",
    "GravitySettings",
    "RootSettings",
    "WorldOptions",
    "WorldTrack",
    "place_in_world",
    "shared_world",
]
