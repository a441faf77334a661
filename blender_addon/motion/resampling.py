"""Clips on another time grid: resample, trim.

May import numpy and its own room only. Frames are placed by their timestamps, never by their number: 23.976 and
variable-rate sources keep their timing at any scene rate.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .clip import ClipError, MotionClip
from .face import FaceMotion
from .hands import HandMotion
from .rotations import (
    Array,
    quaternion_slerp,
)
from .temporal import bracket, finite_runs, interpolate_cubic, median_interval_s, per_frame

_LINEAR = ("joints_camera_m", "keypoints_px", "keypoint_confidence", "confidence", "score", "margin", "contacts")
_LINEAR_OPTIONAL = ("body_contacts", "joint_confidence", "focal_scale")
_ZERO_WHEN_ABSENT = ("keypoint_confidence", "confidence", "contacts", "body_contacts", "joint_confidence")
# Times closer together than this part of the frames' interval have several between two frames.
_DENSER = 0.67
# A time this close to a source frame, in parts of a frame, takes that frame and no neighbour. Rates come rounded:
# Blender keeps 1.001 in 32 bits, which puts frame 10,000 of a 23.976 fps clip 5e-4 of a frame off.
_ON_FRAME = 1e-3
# The last frame of a clip may be missed by this part of a frame: 23.976 for 24000/1001 is off by that after 10,000.
_END_SLACK = 1e-2
# Steps between frames that are longer than both of these are pauses of the recording.
_PAUSE_S = 10.0
_PAUSE_STEPS = 20.0
_MOST_PAUSE_FRAMES = 50_000


def resample_clip(clip: MotionClip, fps: float, start_s: float | None = None, end_s: float | None = None) -> MotionClip:
    """The clip at a steady `fps` from `start_s` (its first frame) to `end_s` (its last), both inclusive.

    Rotations by slerp (fingers as well), the root by a cubic through its neighbours, everything else linearly. A new
    frame is present only where the person is present on both sides of it; nothing is made up across gaps or cuts. A
    grid that ends a hundredth of a frame beyond the clip, because a rate was rounded, still has the last frame.
    `header.source_fps` keeps the source's rate. Raises ClipError when fps is not positive, the range lies outside the
    clip, or most of the result would be a pause in which nothing is known.
    """
    if not fps > 0.0 or not np.isfinite(fps):
        raise ClipError(f"cannot resample to {fps} frames a second; give a positive number")
    check_gaps(clip, fps)
    start = float(clip.times_s[0]) if start_s is None else start_s
    end = float(clip.times_s[-1]) if end_s is None else end_s
    if end < start or start > clip.times_s[-1] or end < clip.times_s[0]:
        raise ClipError(
            f"the range {start:.3f} to {end:.3f} s lies outside the clip "
            f"({clip.times_s[0]:.3f} to {clip.times_s[-1]:.3f} s)"
        )
    count = int(np.floor((end - start) * fps + _END_SLACK)) + 1
    times_s = start + np.arange(count) / fps
    last_s = float(clip.times_s[-1])
    beyond = (times_s > last_s) & (times_s < last_s + 2.0 * _END_SLACK / fps)
    return replace(sample_clip(clip, np.where(beyond, last_s, times_s)), times_s=times_s)


def check_gaps(clip: MotionClip, fps: float) -> None:
    """Raise ClipError where the pauses between a clip's frames would become more frames than a scene can take."""
    steps = np.diff(clip.times_s)
    gaps = steps[_is_pause(steps)]
    if gaps.sum() * fps > _MOST_PAUSE_FRAMES:
        at_s = float(clip.times_s[int(np.argmax(steps))])
        raise ClipError(
            f"the clip pauses for {float(gaps.max()):.0f} s after {at_s:.2f} s, which is {gaps.sum() * fps:.0f} frames",
            "solve each part by itself, with a range",
        )


def shorten_pauses(clip: MotionClip, longest_s: float = 60.0) -> tuple[MotionClip, str]:
    """The clip with every pause between two frames cut to `longest_s`, and a sentence that says so; else as it is."""
    steps = np.diff(clip.times_s)
    long = _is_pause(steps) & (steps > longest_s)
    if not long.any():
        return clip, ""
    places = np.flatnonzero(long)
    cut_s = np.cumsum(np.where(long, steps - longest_s, 0.0))
    earlier = np.concatenate([[0.0], cut_s])
    cuts = tuple(
        float(cut - earlier[min(int(np.searchsorted(clip.times_s, cut)), len(earlier) - 1)])
        for cut in clip.header.cuts_s
    )
    told = (
        f"the clip pauses for {float(steps[places[0]]):.0f} s after {float(clip.times_s[places[0]]):.2f} s: "
        f"{len(places)} such pauses are cut to {longest_s:g} s"
    )
    return replace(clip, times_s=clip.times_s - earlier, header=replace(clip.header, cuts_s=cuts)), told


def _is_pause(steps: Array) -> NDArray[np.bool_]:
    """Which steps between frames are pauses of the recording: seconds long, and many times the usual step."""
    usual = float(np.median(steps)) if len(steps) else 0.0
    return np.asarray(steps > max(_PAUSE_S, _PAUSE_STEPS * usual))


def sample_clip(clip: MotionClip, times_s: Array) -> MotionClip:
    """The clip at any increasing times (N,); frames outside it or inside a gap hold NaN and confidence 0."""
    if not len(times_s) or (np.diff(times_s) <= 0).any():
        raise ClipError("sample times must increase and there must be at least one")
    before, weight, present = _places(clip, times_s)
    # where a time is a frame's own, the next frame has no say: it may be the first without the person
    after = np.where(weight == 0.0, before, np.minimum(before + 1, len(clip) - 1))
    linear = {
        name: _masked(_linear(getattr(clip, name), before, after, weight), present, name)
        for name in _linear_names(clip)
    }
    if _is_denser(clip, times_s):
        linear["contacts"] = _masked(_lesser(clip.contacts, before, after, weight), present, "contacts")
    rotations = quaternion_slerp(clip.rotations_wxyz[before], clip.rotations_wxyz[after], weight[:, None])
    rotations = np.where(present[:, None, None], rotations, np.nan)
    sampled = replace(
        clip,
        hands=_sampled_hands(clip.hands, before, after, np.where(present, weight, np.nan)),
        face=_sampled_face(clip.face, before, after, np.where(present, weight, np.nan)),
        times_s=np.asarray(times_s, dtype=np.float64),
        rotations_wxyz=rotations.astype(clip.rotations_wxyz.dtype),
        root_world_m=_cubic(clip, clip.root_world_m, times_s, present),
        root_camera_m=_cubic(clip, clip.root_camera_m, times_s, present),
        world_from_camera=_camera_poses(clip.world_from_camera, before, after, weight),
    )
    return _with_arrays(sampled, {name: value.astype(getattr(clip, name).dtype) for name, value in linear.items()})


def _is_denser(clip: MotionClip, times_s: Array) -> bool:
    """Whether several of the times lie between two frames of the clip."""
    if len(clip) < 2 or len(times_s) < 2:
        return False
    return float(np.median(np.diff(times_s))) < _DENSER * median_interval_s(clip.times_s)


def _lesser(values: Array, before: NDArray[np.intp], after: NDArray[np.intp], weight: Array) -> Array:
    """Between two frames the lesser of both: a foot that stands in the later one still swings until then."""
    between = (weight > 0.0)[:, None]
    return np.where(between, np.minimum(values[before], values[after]), values[before])


def trim_clip(clip: MotionClip, start_s: float, end_s: float) -> MotionClip:
    """The source frames from `start_s` to `end_s`, both inclusive, untouched. Raises ClipError when there are none."""
    keep = (clip.times_s >= start_s - 1e-9) & (clip.times_s <= end_s + 1e-9)
    if not keep.any():
        raise ClipError(f"no frame of the clip lies between {start_s:.3f} and {end_s:.3f} s")
    return take_frames(clip, np.flatnonzero(keep))


def _places(clip: MotionClip, times_s: Array) -> tuple[NDArray[np.intp], Array, NDArray[np.bool_]]:
    """For each time the source frame before it, the weight of the frame after it, and whether the person is there."""
    before, weight = bracket(clip.times_s, times_s)
    near_before, near_after = weight < _ON_FRAME, weight > 1.0 - _ON_FRAME
    before = np.where(near_after, np.minimum(before + 1, len(clip) - 1), before)
    weight = np.where(near_before | near_after, 0.0, weight)
    run_of = np.full(len(clip), -1)
    whole = np.concatenate([clip.root_world_m, clip.rotations_wxyz.reshape(len(clip), -1)], axis=1)
    for number, run in enumerate(finite_runs(clip.times_s, whole, clip.header.cuts_s)):
        run_of[run] = number
    after = np.minimum(before + 1, len(clip) - 1)
    slack = _ON_FRAME * (median_interval_s(clip.times_s) if len(clip) > 1 else 1.0)
    inside = (times_s >= clip.times_s[0] - slack) & (times_s <= clip.times_s[-1] + slack)
    together = (weight == 0.0) | (run_of[before] == run_of[after])
    return before, weight, inside & (run_of[before] >= 0) & together


def _linear(values: Array, before: NDArray[np.intp], after: NDArray[np.intp], weight: Array) -> Array:
    shaped = per_frame(weight, values.ndim)
    return np.where(shaped == 0.0, values[before], values[before] + shaped * (values[after] - values[before]))


def _sampled_hands(
    hands: HandMotion | None, before: NDArray[np.intp], after: NDArray[np.intp], weight: Array
) -> HandMotion | None:
    """Hands between frames: rotations by slerp; `weight` (N,) is NaN where the person is absent."""
    if hands is None:
        return None
    turns = quaternion_slerp(hands.rotations_wxyz[before], hands.rotations_wxyz[after], weight[:, None, None])
    shaped = weight[:, None, None, None]
    turns = np.where(shaped == 0.0, hands.rotations_wxyz[before], np.where(np.isnan(shaped), np.nan, turns))
    confidence = np.nan_to_num(_linear(hands.confidence, before, after, weight))
    return HandMotion(turns.astype(hands.rotations_wxyz.dtype), confidence.astype(hands.confidence.dtype))


def _sampled_face(
    face: FaceMotion | None, before: NDArray[np.intp], after: NDArray[np.intp], weight: Array
) -> FaceMotion | None:
    """A face between frames; `weight` (N,) is NaN where the person is absent."""
    if face is None:
        return None
    weights = _linear(face.weights, before, after, weight)
    confidence = np.nan_to_num(_linear(face.confidence, before, after, weight))
    return FaceMotion(weights.astype(face.weights.dtype), confidence.astype(face.confidence.dtype))


def _cubic(clip: MotionClip, values: Array, times_s: Array, present: NDArray[np.bool_]) -> Array:
    """Positions (N, 3) on the cubic of the run of frames that each time lies in."""
    out = np.full((len(times_s), values.shape[1]), np.nan, dtype=values.dtype)
    for run in finite_runs(clip.times_s, values, clip.header.cuts_s):
        source = clip.times_s[run]
        margin = _ON_FRAME * median_interval_s(clip.times_s) if len(clip) > 1 else 1e-9
        here = present & (times_s >= source[0] - margin) & (times_s <= source[-1] + margin)
        if here.any():
            out[here] = interpolate_cubic(source, values[run].astype(np.float64), times_s[here])
    return out


def _camera_poses(poses: Array, before: NDArray[np.intp], after: NDArray[np.intp], weight: Array) -> Array:
    """Camera poses (N, 4, 4): the frame before where the camera stands still, else the nearer of the two frames."""
    return np.asarray(poses[np.where(weight < 0.5, before, after)])


def take_frames(clip: MotionClip, frames: NDArray[np.intp]) -> MotionClip:
    """The clip's frames of these numbers (N,), in this order; every array that goes by the frame is taken along."""
    names = ("times_s", "rotations_wxyz", "root_world_m", "root_camera_m", "world_from_camera", *_linear_names(clip))
    hands, face = clip.hands, clip.face
    groups = replace(
        clip,
        hands=None if hands is None else HandMotion(hands.rotations_wxyz[frames], hands.confidence[frames]),
        face=None if face is None else FaceMotion(face.weights[frames], face.confidence[frames]),
    )
    return _with_arrays(groups, {name: getattr(clip, name)[frames] for name in names})


def _linear_names(clip: MotionClip) -> tuple[str, ...]:
    return (*_LINEAR, *(name for name in _LINEAR_OPTIONAL if getattr(clip, name) is not None))


def _with_arrays(clip: MotionClip, arrays: dict[str, Array]) -> MotionClip:
    return replace(clip, **arrays)  # type: ignore[arg-type]  # mypy takes the names for any field


def _masked(values: Array, present: NDArray[np.bool_], name: str) -> Array:
    """NaN, or 0 for confidences and contacts, where the person is absent."""
    filler = 0.0 if name in _ZERO_WHEN_ABSENT else np.nan
    return np.where(present.reshape((-1,) + (1,) * (values.ndim - 1)), values, filler)
