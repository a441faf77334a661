"""What several solved videos have to do with each other: the take, with every view that cannot take part named.

Order of checks: a camera that moves, one recording given twice, nobody in common, a calibration or a view that does not
fit the others, two cameras in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from backend.multiview.calibrate import (
    Adjusted,
    CalibrationSettings,
    adjust_views,
    estimates,
    viewing_angle_deg,
)
from backend.multiview.chain import Chained, Known, chain, people_in_views
from backend.multiview.resample import resampled_track
from backend.multiview.types import (
    CameraEstimate,
    CameraSource,
    CameraView,
    ExcludedView,
    Exclusion,
    Offset,
    OffsetSource,
    PersonInViews,
    Take,
)
from backend.types import Array

_PLACE_REMEDY = "Put the cameras further apart: 30 to 90 degrees about the person is best"
_MOVES_REMEDY = "Put every camera on a tripod or a shelf; a video from the hand can be solved by itself"
_FIT_REMEDY = "Leave the calibration out, and the cameras are calibrated from the people, or calibrate again"
# keypoints of one recording agree to a part of the person's size, and nobody else's do
_SAME_VIDEO_SHARE = 0.015
_LEAST_SHARED = 10
# motion that correlates by 0.1 better than it must may be explained by a fifth less well
_BY_LEAD = 2.0


@dataclass(frozen=True, slots=True)
class FoundTake:
    """The take; `sizes` of people (by `PersonInViews.person`) over their assumed height, where calibrated cameras or
    other people tell it; sentences for the user about what was found and decided; gravity's direction `down` (3,) in
    the take frame, known to `down_deg`.
    """

    take: Take
    sizes: dict[int, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    down: Array | None = None
    down_deg: float = 15.0


def find_take(
    views: Sequence[CameraView],
    known: Sequence[Known] | None = None,
    settings: CalibrationSettings | None = None,
    source: CameraSource = CameraSource.FILE,
) -> FoundTake:
    """Clocks, people in common and cameras of several views. `source` names where known camera poses are from.

    The first view that can be used and shows somebody is the take frame. With fewer than two views left the take has
    that one alone.
    """
    known, settings = known or [Known() for _ in views], settings or CalibrationSettings()
    excluded = [_moving(views, view) for view in range(len(views)) if views[view].camera_moves]
    usable = [view for view in range(len(views)) if not views[view].camera_moves]
    if not usable:
        return FoundTake(Take(tuple(view.info.path for view in views), (), (), (), tuple(excluded)))
    links, reasons = chain(views, usable, known)
    excluded += [_not_joined(views, view, reason, known) for view, reason in reasons.items()]
    links, twice = _without_copies(views, sorted(links, key=lambda link: link.view))
    excluded += twice
    adjusted, misfits, notes = _fitting(views, links, known, settings)
    excluded += misfits
    if adjusted is not None:
        adjusted, places = _apart(views, adjusted, known, settings)
        excluded += places
    if adjusted is None:
        return FoundTake(_alone(views, links[0].view, excluded), {}, tuple(notes))
    used = [link.view for link in adjusted.links]
    calibrated = all(known[view].camera_from_rig is not None for view in used) and not notes
    cameras = estimates(views, adjusted, source if calibrated else CameraSource.PEOPLE)
    down = adjusted.result.state.down
    known_down = [1.0 / max(1.0, views[view].down_deg) ** 2 for view in used if views[view].down is not None]
    return FoundTake(
        _take(views, adjusted, cameras, excluded),
        adjusted.sizes,
        tuple(notes),
        np.asarray(down / np.linalg.norm(down)) if known_down else None,
        float(1.0 / np.sqrt(sum(known_down))) if known_down else 15.0,
    )


def _take(
    views: Sequence[CameraView],
    adjusted: Adjusted,
    cameras: dict[int, CameraEstimate],
    excluded: Sequence[ExcludedView],
) -> Take:
    offsets = {link.view: offset for link, offset in zip(adjusted.links, adjusted.offsets, strict=True)}
    return Take(
        videos=tuple(view.info.path for view in views),
        offsets=tuple(offsets.get(view, Offset()) for view in range(len(views))),
        cameras=tuple(cameras.get(view) for view in range(len(views))),
        people=people_in_views(adjusted.links, len(views)),
        excluded=tuple(sorted(excluded, key=lambda one: one.view)),
    )


def _alone(views: Sequence[CameraView], view: int, excluded: Sequence[ExcludedView]) -> Take:
    """The take of one view: its own camera is the take frame."""
    camera = CameraEstimate(views[view].intrinsics, np.eye(4), CameraSource.PEOPLE)
    people = tuple(
        PersonInViews(place, tuple(place if one == view else None for one in range(len(views))))
        for place in range(len(views[view].tracks))
    )
    return Take(
        tuple(one.info.path for one in views),
        tuple(Offset() for _ in views),
        tuple(camera if one == view else None for one in range(len(views))),
        people,
        tuple(sorted(excluded, key=lambda one: one.view)),
    )


def _moving(views: Sequence[CameraView], view: int) -> ExcludedView:
    text = f"{views[view].name} is left out: its camera moves. {_MOVES_REMEDY}"
    return ExcludedView(view, Exclusion.MOVES, text)


def _not_joined(views: Sequence[CameraView], view: int, reason: str, known: Sequence[Known]) -> ExcludedView:
    name = views[view].name
    if known[view].offset is not None:
        text = f"{name} is left out: at the given offset {reason}, or the videos do not overlap. Check the offset"
        return ExcludedView(view, Exclusion.NO_OVERLAP, text)
    text = (
        f"{name} is left out: {reason}. The videos show different people or different times; "
        "give the offset if they do not"
    )
    return ExcludedView(view, Exclusion.NOBODY_IN_COMMON, text)


def _without_copies(views: Sequence[CameraView], links: Sequence[Chained]) -> tuple[list[Chained], list[ExcludedView]]:
    """The views without those that are one recording with another: keypoints lie at the same places of the image."""
    kept: list[Chained] = []
    copies: list[ExcludedView] = []
    for link in links:
        original = next((one for one in kept if _same_video(views, one, link)), None)
        if original is None:
            kept.append(link)
            continue
        text = (
            f"{views[link.view].name} is left out: it is the same recording as {views[original.view].name}. "
            "Give the video of another camera"
        )
        copies.append(ExcludedView(link.view, Exclusion.SAME_VIDEO, text))
    return kept, copies


def _same_video(views: Sequence[CameraView], one: Chained, other: Chained) -> bool:
    first, second = views[one.view], views[other.view]
    for person, place in one.people.items():
        if person not in other.people:
            continue
        track = first.tracks[place]
        times_s = one.offset.take_time_s(track.times_s)
        again = resampled_track(second.tracks[other.people[person]], other.offset, times_s)
        both = (again.presence > 0) & (track.presence > 0)
        if both.sum() < min(_LEAST_SHARED, len(times_s)):
            continue
        here = track.keypoints_px[both] / [first.info.width, first.info.height]
        there = again.keypoints_px[both] / [second.info.width, second.info.height]
        size = np.ptp(here, axis=1).max(axis=1)
        off = np.linalg.norm(here - there, axis=-1) / size[:, None]
        if float(np.nanmedian(off)) < _SAME_VIDEO_SHARE:
            return True
    return False


def _fitting(
    views: Sequence[CameraView], links: Sequence[Chained], known: Sequence[Known], settings: CalibrationSettings
) -> tuple[Adjusted | None, list[ExcludedView], list[str]]:
    """The adjustment of the views that fit each other; those that do not, one after the other; and notes."""
    links, excluded = list(links), list[ExcludedView]()
    notes: list[str] = []
    while len(links) > 1:
        given = all(known[link.view].camera_from_rig is not None for link in links)
        adjusted = adjust_views(views, links, known, settings)
        if adjusted is None:
            excluded += [_too_little(views, link) for link in links[1:]]
            return None, excluded, notes
        worst, off = _misfit(adjusted, settings, given)
        if off < 1.0:
            return adjusted, excluded, notes
        if len(links) == 2 and given:
            names = " and ".join(views[link.view].name for link in links)
            notes.append(
                f"The calibration of {names} does not fit the videos: the cameras were calibrated from the people"
            )
            known = [replace(one, camera_from_rig=None) for one in known]
            continue
        off_m = off * settings.known_misfit_m if given else float(adjusted.result.residual_m[worst])
        excluded.append(_unfit(views, links[worst], off_m, given))
        links = _rebased([link for at, link in enumerate(links) if at != worst])
    return None, excluded, notes


def _misfit(adjusted: Adjusted, settings: CalibrationSettings, given: bool) -> tuple[int, float]:
    """The view that contradicts the others most, and by how much of what is allowed: 1 and more does not fit.

    Of two, the second: the first one holds the frame.
    """
    residual, aside = adjusted.result.residual_m, adjusted.result.aside_m
    off = residual / settings.misfit_m
    # no lens is so far from what is assumed: the people are made to agree by distances that cannot be
    off = np.maximum(off, np.abs(adjusted.result.state.focal_log) / settings.longest_focal_log)
    off = np.maximum(off, _by_chance(adjusted, settings))
    if given:
        # errors of the keypoints go anywhere: a camera that is aimed wrongly moves all of them to one side
        off = np.maximum(off, np.where(aside > 0.5 * residual, aside / settings.known_misfit_m, 0.0))
    off = np.nan_to_num(off, nan=np.inf)
    return (1 if len(off) == 2 else int(off.argmax())), float(off.max())


def _by_chance(adjusted: Adjusted, settings: CalibrationSettings) -> Array:
    """By how much of what is allowed (V,) the views lie further off than by their own poses, where nothing but the
    motion joins them: it may agree by chance, above all where it hardly agrees, but then no cameras explain it well.
    """
    by_motion = np.array([offset.source is OffsetSource.MOTION for offset in adjusted.offsets])
    lead = np.array([link.lead for link in adjusted.links])
    if (~by_motion).sum() == 1:  # nothing but the motion joins this one to the others either
        lead[~by_motion] = lead.max()
        by_motion[:] = True
    beside = adjusted.result.residual_m / np.maximum(adjusted.own_m, 1e-3)
    return np.asarray(np.where(by_motion, beside / (settings.misfit_share * (1.0 + _BY_LEAD * lead)), 0.0))


def _rebased(links: Sequence[Chained]) -> list[Chained]:
    """The same views with the first of them as take frame."""
    first = links[0]
    return [
        replace(
            link,
            rotation=link.rotation @ first.rotation.T,
            translation=link.translation - link.rotation @ first.rotation.T @ first.translation,
        )
        for link in links
    ]


def _unfit(views: Sequence[CameraView], link: Chained, residual_m: float, given: bool) -> ExcludedView:
    off = f"{100 * residual_m:.1f} cm off"
    if given:
        text = f"{views[link.view].name} is left out: its calibration does not fit its video ({off}). {_FIT_REMEDY}"
    else:
        text = (
            f"{views[link.view].name} is left out: what it shows does not fit the other videos ({off}). "
            "The videos show different people or different times, or the camera was moved"
        )
    return ExcludedView(link.view, Exclusion.DOES_NOT_FIT, text)


def _too_little(views: Sequence[CameraView], link: Chained) -> ExcludedView:
    text = f"{views[link.view].name} is left out: it shares too few moments with the other videos"
    return ExcludedView(link.view, Exclusion.NO_OVERLAP, text)


def _apart(
    views: Sequence[CameraView], adjusted: Adjusted, known: Sequence[Known], settings: CalibrationSettings
) -> tuple[Adjusted | None, list[ExcludedView]]:
    """Without views from the place of another one: they tell nothing about depth."""
    kept: list[int] = []
    excluded: list[ExcludedView] = []
    for place, link in enumerate(adjusted.links):
        near = [other for other in kept if viewing_angle_deg(adjusted, other, place) < settings.same_place_deg]
        if not near:
            kept.append(place)
            continue
        angle = viewing_angle_deg(adjusted, near[0], place)
        text = (
            f"{views[link.view].name} is left out: it was recorded from the place of "
            f"{views[adjusted.links[near[0]].view].name} ({angle:.0f} degrees apart). {_PLACE_REMEDY}"
        )
        excluded.append(ExcludedView(link.view, Exclusion.SAME_PLACE, text))
    if not excluded:
        return adjusted, []
    if len(kept) < 2:
        return None, excluded
    return adjust_views(views, [adjusted.links[place] for place in kept], known, settings), excluded
