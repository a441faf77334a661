"""Several people in one world: their heights fit one floor, and supports at other heights stay what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.types import PoseTrack
from backend.world import WorldOptions, place_people
from backend.world.people import PlacedPerson
from backend.world.steps import lowest_level_m
from backend.world.world_track import Gravity
from blender_addon.motion.body import BodyShape, canonical_body
from blender_addon.motion.posing import find_feet, pose_body
from tests.motion.motions import walking
from tests.world.scenes import Camera, Noise, Scene, make_scene

ASSUMED_M = 1.70
NOISE = Noise(pitch_deg=0.0)


def _walker(aside_m: float, above_m: float = 0.0, height_m: float = ASSUMED_M, camera_m: float = 1.6) -> Scene:
    times_s, rotations, root, _ = walking(4.0)
    root = root * (height_m / 1.75)
    root[:, :2] -= root[:, :2].mean(axis=0)
    camera = Camera((0.0, -7.0, camera_m), (0.0, 0.0, camera_m - 0.3))
    root += np.array([0.0, aside_m, above_m])
    return make_scene(times_s, rotations, root, camera, NOISE, height_m)


def _assumed(scene: Scene) -> PoseTrack:
    """The poses as they are solved: everybody is taken to be of the assumed height, and is as much further away."""
    scale = ASSUMED_M / scene.poses.height_m
    root = scene.poses.root_camera_m * scale
    return replace(scene.poses, height_m=ASSUMED_M, root_camera_m=root)


def _place(*scenes: Scene, options: WorldOptions | None = None) -> tuple[PlacedPerson, ...]:
    poses = [_assumed(scene) for scene in scenes]
    return place_people(poses, [scene.track for scene in scenes], scenes[0].intrinsics, options or WorldOptions())


def _floor_known(camera_m: float = 1.6) -> WorldOptions:
    """What the background says of the floor where the camera travels; it is a little off the feet."""
    down = -Camera((0.0, -7.0, camera_m), (0.0, 0.0, camera_m - 0.3)).world_from_camera()[2, :3]
    return WorldOptions(gravity=Gravity(down, 1.0), floor_below_m=camera_m + 0.1)


def _standing_m(person: PlacedPerson) -> float:
    """Usual height of the lowest foot point."""
    shape = BodyShape(person.poses.height_m, person.poses.bone_scales)
    posed = pose_body(canonical_body(), shape, person.world.rotations_wxyz, person.world.root_world_m)
    feet = find_feet(canonical_body(), posed)
    return float(np.median((feet.positions_m[..., 2] - feet.clearance_m).min(axis=1)))


@pytest.mark.parametrize("height_m", [1.58, 1.84, 1.30])
def test_people_of_other_heights_stand_on_the_first_ones_floor(height_m: float) -> None:
    first, second = _place(_walker(0.0), _walker(0.8, height_m=height_m))
    assert first.poses.height_m == ASSUMED_M
    assert second.poses.height_m == pytest.approx(height_m, abs=0.08)
    np.testing.assert_array_equal(first.world.world_from_camera[0], second.world.world_from_camera[0])
    assert _standing_m(first) == pytest.approx(0.0, abs=0.03)
    assert _standing_m(second) == pytest.approx(0.0, abs=0.03)


def test_the_floor_is_under_the_lower_of_two_people_and_the_higher_one_stays_up() -> None:
    up, below = _place(_walker(0.8, above_m=1.9), _walker(0.0))
    assert up.poses.height_m == below.poses.height_m == ASSUMED_M
    assert _standing_m(below) == pytest.approx(0.0, abs=0.03)
    assert _standing_m(up) == pytest.approx(1.9, abs=0.25)


def test_a_second_person_on_a_box_stays_on_it() -> None:
    below, up = _place(_walker(0.0), _walker(0.8, above_m=0.8))
    assert _standing_m(below) == pytest.approx(0.0, abs=0.03)
    assert _standing_m(up) == pytest.approx(0.8, abs=0.2)


def test_people_stand_on_the_floor_that_the_background_shows() -> None:
    first, child, up = _place(
        _walker(0.0), _walker(0.8, height_m=1.30), _walker(-0.8, above_m=0.8), options=_floor_known()
    )
    for person in (first, child, up):
        assert person.world.world_from_camera[0, 2, 3] == pytest.approx(1.7)
    assert first.poses.height_m == ASSUMED_M
    assert child.poses.height_m == pytest.approx(1.30 * 1.7 / 1.6, abs=0.08)
    assert _standing_m(first) == pytest.approx(0.0, abs=0.03)
    assert _standing_m(child) == pytest.approx(0.0, abs=0.03)
    assert _standing_m(up) == pytest.approx(0.9, abs=0.2)


def test_somebody_alone_who_stands_on_a_box_stays_on_it() -> None:
    (up,) = _place(_walker(0.0, above_m=0.8), options=_floor_known())
    assert _standing_m(up) == pytest.approx(0.9, abs=0.15)


def test_one_person_alone_keeps_the_world_of_a_single_solve() -> None:
    scene = _walker(0.0)
    (alone,) = _place(scene)
    assert alone.poses.height_m == ASSUMED_M
    assert _standing_m(alone) == pytest.approx(0.0, abs=0.03)


def test_the_floor_of_somebody_who_climbs_is_the_lowest_level_and_a_stray_contact_is_none() -> None:
    on_floor, on_box = np.full(30, 0.01), np.full(80, 0.5)
    assert lowest_level_m(np.concatenate([on_box, on_floor])) == pytest.approx(0.01)
    assert lowest_level_m(np.concatenate([on_box, on_floor, [-0.9]])) == pytest.approx(0.01)
