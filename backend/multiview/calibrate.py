"""Cameras, lenses and clocks of views that belong together, adjusted to everything that is seen. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from backend.multiview.bundle import adjust
from backend.multiview.bundle_problem import (
    BundleProblem,
    BundleResult,
    BundleSettings,
    BundleState,
    CameraPrior,
)
from backend.multiview.bundle_samples import (
    bone_lengths,
    common_points,
    evidence_of,
    own_misses_m,
    shared_samples,
)
from backend.multiview.chain import FEWEST_FRAMES, Chained, Known
from backend.multiview.types import CameraEstimate, CameraSource, CameraUncertainty, CameraView, Offset, OffsetSource
from backend.types import Array, Intrinsics

# how far a clock may be off before the adjustment; others are taken as they are. Sound needs 3 ms for each metre, which
# is known once the cameras are.
_SOUND_S, _SOUND_M_S = 0.006, 343.0
_CLOCK_S = {OffsetSource.MOTION: 0.05, OffsetSource.SOUND: 0.015, OffsetSource.TIME_CODE: 0.03}
# landmark networks err alike in all frames: cameras were off by so many times what the equations say (rendered takes)
_ALIKE = 3.0


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """How a take is set up: frames that are adjusted (spread over all people), prior (log) of a focal length that was
    assumed, told (by a flag or the file) and calibrated with its camera's place; how closely known poses of cameras are
    kept; how far a view may be off before it does not fit (all of it; beside its own poses, where only the motion says
    that it shows the same time, and hardly does; to one side with a known pose), and how near two cameras count as in
    one place.
    """

    frames: int = 80
    assumed_focal_log: float = 0.08
    told_focal_log: float = 0.03
    known_focal_log: float = 0.005
    known_pose_deg: float = 0.02
    known_pose_m: float = 0.002
    misfit_m: float = 0.06
    misfit_share: float = 0.85
    longest_focal_log: float = 1.0
    known_misfit_m: float = 0.007
    same_place_deg: float = 6.0
    bundle: BundleSettings = field(default_factory=BundleSettings)


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Cameras and clocks after the adjustment, in the order of `links`; sizes of people (by their place in the first
    view) over what was assumed; how far (V,) m the views' keypoints lie from their own poses.
    """

    links: tuple[Chained, ...]
    result: BundleResult
    offsets: tuple[Offset, ...]
    sizes: dict[int, float]
    own_m: Array


def adjust_views(
    views: Sequence[CameraView],
    links: Sequence[Chained],
    known: Sequence[Known],
    settings: CalibrationSettings,
) -> Adjusted | None:
    """Adjust cameras, lenses and clocks together; None where the views share too few moments."""
    use_rig = all(known[link.view].camera_from_rig is not None for link in links)
    offsets = [link.offset for link in links]
    result: BundleResult | None = None
    sizes: dict[int, float] = {}
    own_m = np.zeros(len(links))
    for turn in range(2):
        made = _problem(views, links, offsets, known, settings, result if result is None else result.state)
        if made is None:
            return None
        problem, people, own_m = made
        result = adjust(problem)
        sizes = _sizes(problem, result, people, use_rig)
        shift = result.state.clock_s
        offsets = [
            replace(offset, start_s=offset.start_s + float(shift[place]), uncertainty_s=0.004)
            if offset.source in _CLOCK_S
            else offset
            for place, offset in enumerate(offsets)
        ]
        if turn == 0:
            offsets = _without_travel(links, offsets, result.state)
    assert result is not None
    return Adjusted(tuple(links), result, tuple(offsets), sizes, own_m)


def _sizes(problem: BundleProblem, result: BundleResult, people: Sequence[int], use_rig: bool) -> dict[int, float]:
    """The people's sizes over what was assumed: calibrated cameras tell them, others only beside each other."""
    if len(people) == 1 and not use_rig:
        return {people[0]: 1.0}
    factors = np.exp((result.state.length_log - problem.start.length_log).mean(axis=1))
    return {person: float(factor) for person, factor in zip(people, factors, strict=True)}


def _without_travel(links: Sequence[Chained], offsets: Sequence[Offset], state: BundleState) -> list[Offset]:
    """Clocks that were heard, less what the sound needed to the cameras: a farther one hears later."""
    away_m = [
        float(np.median(np.linalg.norm(state.points_m @ rotation.T + translation, axis=-1)))
        for rotation, translation in zip(state.rotations, state.translations, strict=True)
    ]
    return [
        replace(offset, start_s=link.offset.start_s + (away_m[at] - away_m[0]) / _SOUND_M_S, uncertainty_s=_SOUND_S)
        if offset.source is OffsetSource.SOUND
        else offset
        for at, (link, offset) in enumerate(zip(links, offsets, strict=True))
    ]


def _problem(
    views: Sequence[CameraView],
    links: Sequence[Chained],
    offsets: Sequence[Offset],
    known: Sequence[Known],
    settings: CalibrationSettings,
    before: BundleState | None,
) -> tuple[BundleProblem, list[int], Array] | None:
    people = [p for p in links[0].people if any(p in link.people for link in links[1:])]
    samples, person = shared_samples(views, links, offsets, people, settings.frames)
    if len(person) < FEWEST_FRAMES:
        return None
    evidence = tuple(evidence_of(sample) for sample in samples)
    rotations, translations, fixed = _poses(links, known)
    if before is not None and not fixed:
        rotations, translations = before.rotations, before.translations
    count = len(links)
    focal = np.zeros(count) if before is None else before.focal_log
    lengths, order = bone_lengths(samples, person, people), np.searchsorted(np.unique(person), person)
    down = views[links[0].view].down
    state = BundleState(
        rotations,
        translations,
        focal,
        np.zeros(count),
        common_points(samples, rotations, translations),
        lengths,
        np.array([0.0, 1.0, 0.0]) if down is None else np.asarray(down, np.float64),
    )
    priors = [_prior(views[link.view], offsets[at], at == 0, fixed, settings) for at, link in enumerate(links)]
    if before is not None:
        priors = [
            replace(prior, clock_s=min(prior.clock_s, _SOUND_S)) if offset.source is OffsetSource.SOUND else prior
            for prior, offset in zip(priors, offsets, strict=True)
        ]
    bundle = replace(settings.bundle, size_share=0.3, length_share=0.3) if fixed else settings.bundle
    problem = BundleProblem(evidence, order, state, tuple(priors), bundle)
    return problem, [int(one) for one in np.unique(person)], np.array([own_misses_m(sample) for sample in samples])


def _prior(view: CameraView, offset: Offset, first: bool, fixed: bool, settings: CalibrationSettings) -> CameraPrior:
    pose = (0.0, 0.0) if first else (np.inf, np.inf)
    if fixed and not first:
        pose = settings.known_pose_deg, settings.known_pose_m
    told = settings.known_focal_log if fixed else settings.told_focal_log
    focal = settings.assumed_focal_log if view.intrinsics.is_assumed else told
    clock_s = 0.0 if first else _CLOCK_S.get(offset.source, 0.0)
    return CameraPrior(focal, *pose, clock_s, view.down, max(1.0, view.down_deg))


def _poses(links: Sequence[Chained], known: Sequence[Known]) -> tuple[Array, Array, bool]:
    """Rotations and translations from the take frame, and whether they were calibrated beforehand."""
    rigs = [known[link.view].camera_from_rig for link in links]
    if any(rig is None for rig in rigs):
        return np.array([link.rotation for link in links]), np.array([link.translation for link in links]), False
    whole = [np.asarray(rig, np.float64) for rig in rigs]
    to_first = np.linalg.inv(whole[0])
    poses = [rig @ to_first for rig in whole]
    return np.array([pose[:3, :3] for pose in poses]), np.array([pose[:3, 3] for pose in poses]), True


def estimates(views: Sequence[CameraView], adjusted: Adjusted, source: CameraSource) -> dict[int, CameraEstimate]:
    """The cameras by their views' places."""
    out, state = {}, adjusted.result.state
    for place, link in enumerate(adjusted.links):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = state.rotations[place], state.translations[place]
        intrinsics = scaled(views[link.view].intrinsics, float(np.exp(state.focal_log[place])))
        residual_px = adjusted.result.residual_m[place] / _distance_m(adjusted, place) * intrinsics.matrix[0, 0]
        alike = _ALIKE if source is CameraSource.PEOPLE else 1.0
        uncertainty = CameraUncertainty(
            alike * float(adjusted.result.rotation_deg[place]),
            alike * float(adjusted.result.position_m[place]),
            float(adjusted.result.focal_share[place]),
        )
        out[link.view] = CameraEstimate(intrinsics, pose, source, uncertainty, float(residual_px))
    return out


def _distance_m(adjusted: Adjusted, place: int) -> float:
    state = adjusted.result.state
    seen = state.points_m @ state.rotations[place].T + state.translations[place]
    return max(0.3, float(np.median(seen[..., 2])))


def scaled(intrinsics: Intrinsics, factor: float) -> Intrinsics:
    """The intrinsics with another focal length."""
    matrix = np.asarray(intrinsics.matrix, np.float64).copy()
    matrix[0, :2] *= factor
    matrix[1, 1] *= factor
    return replace(intrinsics, matrix=matrix)


def viewing_angle_deg(adjusted: Adjusted, first: int, second: int) -> float:
    """The usual angle at the people between the lines of sight of two cameras."""
    state = adjusted.result.state
    people = state.points_m.mean(axis=1)
    lines = []
    for place in (first, second):
        center = -state.rotations[place].T @ state.translations[place]
        line = people - center
        lines.append(line / np.linalg.norm(line, axis=1, keepdims=True))
    return float(np.degrees(np.median(np.arccos(np.clip((lines[0] * lines[1]).sum(axis=1), -1, 1)))))
