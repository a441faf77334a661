"""Keys written in bulk are the keys that Blender would hold if each were written by itself, bit for bit."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import pytest
from rigs import canonical_armature

from blender_addon.rig import actions, fcurve_keys
from blender_addon.rig.actions import Channel

FIELDS = (
    *("co", "handle_left", "handle_right", "interpolation", "handle_left_type", "handle_right_type", "easing", "type"),
    *("amplitude", "back", "period", "select_control_point", "select_left_handle", "select_right_handle"),
)
KINDS = {"CONSTANT": 0, "LINEAR": 1, "BEZIER": 2}
AUTO_CLAMPED = 4
WHOLE = np.arange(5.0, 65.0)
FRAMES = {
    "whole frames": WHOLE,
    "before zero": WHOLE - 40.0,
    "gaps": np.concatenate([WHOLE[:20], WHOLE[35:]]),
    "fractions after a whole first": np.concatenate([WHOLE[:1], WHOLE[1:] + 0.37]),
    "halves": WHOLE[0] + 0.5 * np.arange(60.0),
    "a fraction first": WHOLE + 0.25,
    "two": WHOLE[:2],
    "one": WHOLE[:1],
    "to the last frame there is": 1048574.0 - np.arange(12.0)[::-1],
    "up to just before it": 1048573.0 - np.arange(12.0)[::-1],
    "from the first frame there is": np.arange(12.0) - 1048574.0,
}


def _bag(name: str = "Take") -> Any:
    armature = canonical_armature()
    actions.assign_action(armature, bpy.data.actions.new(name))
    return actions.channelbag(armature)


def _values(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3))


def _one_by_one(curve: Any, frames: np.ndarray, values: np.ndarray, interpolation: str) -> None:
    curve.keyframe_points.add(len(frames))
    for key, frame, value in zip(curve.keyframe_points, frames, values, strict=True):
        key.co = frame, value
        key.interpolation = interpolation
        key.handle_left_type = key.handle_right_type = "AUTO_CLAMPED"
    curve.update()


def _all_of(curve: Any) -> dict[str, np.ndarray]:
    count = len(curve.keyframe_points)
    found = {}
    for field in FIELDS:
        width = 2 if field in FIELDS[:3] else 1
        kind = bool if field.startswith("select") else np.float32 if width == 2 or field in FIELDS[8:11] else np.int32
        found[field] = np.zeros(count * width, kind)
        curve.keyframe_points.foreach_get(field, found[field])
    return found


def _assert_same(curve: Any, wanted: Any) -> None:
    ours, theirs = _all_of(curve), _all_of(wanted)
    for field in FIELDS:
        np.testing.assert_array_equal(ours[field], theirs[field], err_msg=field)
    first, last = theirs["co"][0] - 2.0, theirs["co"][-2] + 2.0
    at = np.linspace(first, last, 301)
    np.testing.assert_array_equal([curve.evaluate(t) for t in at], [wanted.evaluate(t) for t in at])
    for prop in ("extrapolation", "auto_smoothing", "select", "hide", "lock", "mute", "color_mode"):
        assert getattr(curve, prop) == getattr(wanted, prop), prop


@pytest.fixture
def by_samples(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the quick way answered, a curve each; it is really taken, and does its work."""
    answers: list[bool] = []
    way = fcurve_keys.add_by_samples

    def told(*given: Any) -> bool:
        answers.append(way(*given))
        return answers[-1]

    monkeypatch.setattr(actions, "add_by_samples", told)
    return answers


@pytest.mark.parametrize("interpolation", KINDS)
@pytest.mark.parametrize("times", FRAMES)
def test_bulk_keys_are_keys_written_one_by_one(times: str, interpolation: str, by_samples: list[bool]) -> None:
    frames, values = FRAMES[times], _values(len(FRAMES[times]))
    bag = _bag()
    assert actions.write_channels(bag, [Channel("location", "x", frames, values, interpolation)]) == values.size
    quick = interpolation == "LINEAR" and times not in ("a fraction first", "one", "to the last frame there is")
    assert by_samples == [True] * 3 * quick
    for index in range(3):
        wanted = bag.fcurves.new("scale", index=index)
        _one_by_one(wanted, frames, values[:, index], interpolation)
        _assert_same(bag.fcurves.find("location", index=index), wanted)


@pytest.mark.parametrize("interpolation", KINDS)
@pytest.mark.parametrize("old", KINDS)
def test_keys_beside_older_ones_are_keys_written_one_by_one(old: str, interpolation: str) -> None:
    before, frames = np.arange(0.0, 90.0, 7.0), WHOLE[10:30]
    hand, values = _values(len(before), 1), _values(len(frames), 2)
    bag = _bag()
    for index in range(3):
        _one_by_one(bag.fcurves.new("location", index=index), before, hand[:, index], old)
    actions.write_channels(bag, [Channel("location", "x", frames, values, interpolation)])
    keep = (before < frames[0] - 0.5) | (before > frames[-1] + 0.5)
    for index in range(3):
        wanted = bag.fcurves.new("scale", index=index)
        times = np.concatenate([before[keep], frames])
        order = np.argsort(times)
        _one_by_one(wanted, times[order], np.concatenate([hand[keep, index], values[:, index]])[order], interpolation)
        for key in wanted.keyframe_points:
            key.interpolation = old if key.co.x in before[keep] else interpolation
        wanted.update()
        _assert_same(bag.fcurves.find("location", index=index), wanted)


def test_frames_out_of_order_are_sorted_as_blender_does(by_samples: list[bool]) -> None:
    frames, values = np.array([3.0, 9.0, 5.0]), _values(3)
    bag = _bag()
    actions.write_channels(bag, [Channel("location", "x", frames, values)])
    assert not by_samples
    assert [key.co.x for key in bag.fcurves.find("location").keyframe_points] == [3.0, 5.0, 9.0]


def test_a_blender_that_makes_other_keys_of_samples_gets_them_the_long_way(
    monkeypatch: pytest.MonkeyPatch, by_samples: list[bool]
) -> None:
    monkeypatch.setattr(fcurve_keys, "_SAMPLED_KEY", ("BEZIER", "FREE", "FREE"))  # as if it made these
    values = _values(len(WHOLE))
    bag = _bag()
    actions.write_channels(bag, [Channel("location", "x", WHOLE, values)])
    assert by_samples == [False] * 3
    wanted = bag.fcurves.new("scale", index=0)
    _one_by_one(wanted, WHOLE, values[:, 0], "LINEAR")
    _assert_same(bag.fcurves.find("location", index=0), wanted)


class Broken:
    """A real F-curve whose samples fail half way."""

    def __init__(self, curve: Any, fault: BaseException, at: str) -> None:
        self._curve, self._fault, self._at = curve, fault, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._curve, name)

    def convert_to_samples(self, start: int, end: int) -> None:
        if self._at == "convert":
            raise self._fault
        self._curve.convert_to_samples(start, end)

    @property
    def sampled_points(self) -> Any:
        return Broken(self._curve.sampled_points, self._fault, self._at)

    def __len__(self) -> int:
        return len(self._curve)

    def __getitem__(self, index: int) -> Any:
        return self._curve[index]

    def foreach_set(self, name: str, values: np.ndarray) -> None:
        del name
        self._curve.foreach_set("co", np.resize(values, 2 * len(self._curve)))
        raise self._fault


@pytest.mark.parametrize("at", ["convert", "foreach_set"])
@pytest.mark.parametrize("fault", [RuntimeError("no"), TypeError("no"), MemoryError(), KeyboardInterrupt()])
def test_a_fault_half_way_leaves_a_curve_that_takes_keys(at: str, fault: BaseException) -> None:
    bag, values = _bag(), _values(len(WHOLE))
    curve = bag.fcurves.new("location", index=0)
    frames, numbers = WHOLE.astype(np.float32), values[:, 0].astype(np.float32)
    if isinstance(fault, RuntimeError | TypeError):
        made = fcurve_keys.add_by_samples(Broken(curve, fault, at), frames, numbers)
        assert made == (at == "foreach_set")  # they were all in place by then
        assert len(curve.keyframe_points) == len(WHOLE) * made
    else:
        with pytest.raises(type(fault)):
            fcurve_keys.add_by_samples(Broken(curve, fault, at), frames, numbers)
    assert not len(curve.sampled_points)
    actions.write_channels(bag, [Channel("location", "x", WHOLE, values)])
    read = np.array([key.co[:] for key in curve.keyframe_points])
    inside = (read[:, 0] >= WHOLE[0]) & (read[:, 0] <= WHOLE[-1])
    np.testing.assert_array_equal(read[inside], np.stack([frames, numbers], axis=1))


def test_samples_that_are_not_taken_are_written_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a Blender that would copy nothing: the keys are right all the same."""
    monkeypatch.setattr(Broken, "foreach_set", lambda self, name, values: None)
    bag, values = _bag(), _values(len(WHOLE))
    curve = bag.fcurves.new("location", index=0)
    assert not fcurve_keys.add_by_samples(
        Broken(curve, ValueError(), "nowhere"), WHOLE.astype(np.float32), values[:, 0].astype(np.float32)
    )
    assert not len(curve.keyframe_points)


def test_samples_off_the_whole_frames_become_keys_without_a_loss() -> None:
    bag = _bag()
    curve = bag.fcurves.new("location", index=0)
    _one_by_one(curve, np.arange(1.0, 21.0), _values(20)[:, 0], "LINEAR")
    curve.convert_to_samples(1, 21)
    moved = np.array([point.co[:] for point in curve.sampled_points], np.float32)
    moved[:, 0] += 0.5
    curve.sampled_points.foreach_set("co", moved.ravel())
    fcurve_keys.samples_to_keys(curve)
    keys = np.array([key.co[:] for key in curve.keyframe_points], np.float32)
    np.testing.assert_array_equal(keys, moved)
    wanted = bag.fcurves.new("scale", index=0)
    _one_by_one(wanted, moved[:, 0], moved[:, 1], "LINEAR")
    np.testing.assert_array_equal(
        [curve.evaluate(t) for t in np.linspace(0, 23, 60)], [wanted.evaluate(t) for t in np.linspace(0, 23, 60)]
    )


def test_a_curve_of_samples_takes_keys_and_keeps_its_motion_elsewhere() -> None:
    bag = _bag()
    hand = _values(40, 3)[:, 0]
    curve = bag.fcurves.new("location", index=0)
    _one_by_one(curve, np.arange(1.0, 41.0), hand, "LINEAR")
    curve.convert_to_samples(1, 41)
    values = _values(10, 4)
    actions.write_channels(bag, [Channel("location", "x", np.arange(11.0, 21.0), values)])
    frames = np.arange(1, 41)
    wanted = np.where((frames >= 11) & (frames <= 20), np.concatenate([hand[:10], values[:, 0], hand[20:]]), hand)
    np.testing.assert_allclose([curve.evaluate(frame) for frame in frames], wanted, atol=1e-6)


def test_what_is_on_screen_follows_without_a_change_of_frame() -> None:
    armature = canonical_armature()
    bpy.context.scene.frame_set(5)
    actions.assign_action(armature, bpy.data.actions.new("Take"))
    bag = actions.channelbag(armature)
    actions.write_channels(bag, [Channel("scale", "x", np.array([1.0, 9.0]), np.full((2, 3), 2.0))])
    for index in range(3):
        bag.fcurves.new("location", index=index)  # left empty: writing adds no curve
    bpy.context.view_layer.update()  # the action is evaluated from here on
    actions.write_channels(bag, [Channel("location", "x", np.arange(1.0, 9.0), np.full((8, 3), 4.0))])
    bpy.context.view_layer.update()
    assert tuple(armature.location) == pytest.approx((4.0, 4.0, 4.0))


@pytest.mark.parametrize("fails_at", [1, 4, 7])
def test_a_fault_half_way_gives_back_keys_curves_and_groups(fails_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bag, hand = _bag(), _values(40, 3)
    curves = [bag.fcurves.new("location", index=index) for index in range(3)]
    for index, curve in enumerate(curves):
        _one_by_one(curve, np.arange(1.0, 41.0), hand[:, index], "BEZIER")
    curves[0].keyframe_points[7].interpolation, curves[0].keyframe_points[7].amplitude = "ELASTIC", 0.5
    before = [_all_of(curve) for curve in curves]
    paths, groups = (
        [(curve.data_path, curve.array_index) for curve in bag.fcurves],
        [group.name for group in bag.groups],
    )
    count, way = [0], fcurve_keys.write_keys

    def failing(fcurve: Any, keys: Any) -> None:
        count[0] += 1
        way(fcurve, keys)
        if count[0] == fails_at:
            raise RuntimeError("Blender refused")

    monkeypatch.setattr(actions, "write_keys", failing)
    halves = np.arange(11.0, 21.0, 0.5)
    taken = [
        Channel(path, "Bone", halves, _values(20, 4), "BEZIER") for path in ("location", "scale", "delta_location")
    ]
    with pytest.raises(RuntimeError, match="Blender refused"):
        actions.write_channels(bag, taken)
    assert [(curve.data_path, curve.array_index) for curve in bag.fcurves] == paths
    assert [group.name for group in bag.groups] == groups
    for curve, fields in zip(bag.fcurves, before, strict=True):
        for field, values in _all_of(curve).items():
            np.testing.assert_array_equal(values, fields[field], err_msg=field)


def test_keys_outside_the_range_keep_their_ease() -> None:
    bag = _bag()
    curve = bag.fcurves.new("location", index=0)
    _one_by_one(curve, np.arange(1.0, 41.0), _values(40, 3)[:, 0], "LINEAR")
    curve.keyframe_points[2].interpolation = "ELASTIC"
    curve.keyframe_points[2].amplitude, curve.keyframe_points[2].period = 0.5, 3.0
    bent = curve.evaluate(3.4)
    actions.write_channels(bag, [Channel("location", "x", np.arange(11.0, 21.0), _values(10, 4))])
    assert curve.evaluate(3.4) == bent != pytest.approx(np.mean([key.co.y for key in curve.keyframe_points[2:4]]))
