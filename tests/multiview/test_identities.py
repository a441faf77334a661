"""Two people who pass each other: a tracker that goes on with the wrong one is put right by the other view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.datasets.motion import Motion
from backend.embedding.pose_model import PoseModel, load_model
from backend.evaluation.simulated_takes import SimulatedCamera, SimulatedView, TakeSettings, simulate_take
from backend.multiview.alignment import Actor, align_parts
from backend.multiview.chain import Known
from backend.multiview.fragments import Fragment, as_view, fragments_of, joined_view
from backend.multiview.guard import ViewFit, contradicted, surest, view_fit
from backend.multiview.identities import find_take_and_people, with_people_told_apart
from backend.multiview.joint_poses import PersonView
from backend.multiview.samples import sighting
from backend.multiview.synchronise import grid_step_s, motion_signal
from backend.multiview.types import CameraSource, CameraView, Offset, OffsetSource
from backend.types import PersonTrack, PoseTrack
from tests.multiview.motions import CLEAN, dance, views_of

SECONDS, MEET_S, MEETING_S = 3.0, 1.5, 0.55


def _walk(seed: int, sign: float) -> Motion:
    """A dance along a line of 2.4 m; the takes are laid 0.4 m apart."""
    made = dance(seed, SECONDS)
    root = made.root_m.copy()
    root[:, 0] = np.linspace(-1.2, 1.2, len(root)) * sign
    return replace(made, root_m=root)


@pytest.fixture(scope="module")
def take() -> tuple[SimulatedView, ...]:
    cameras = [SimulatedCamera(80.0, seconds=SECONDS), SimulatedCamera(150.0, seconds=SECONDS)]
    settings = TakeSettings(noise=CLEAN, assumed_fov_deg=62.0, apart_m=0.4)
    return simulate_take([_walk(3, 1.0), _walk(5, -1.0)], cameras, 3, settings)


@pytest.fixture(scope="module")
def views(take: tuple[SimulatedView, ...]) -> list[CameraView]:
    model: PoseModel = load_model()
    return views_of(model, take)


def _exchanged(view: CameraView) -> CameraView:
    """The view as a tracker leaves it that takes each for the other after they met."""
    (a, b), (p, q) = view.tracks, view.poses
    after = a.times_s > MEET_S

    def mixed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.where(after.reshape(-1, *(1,) * (one.ndim - 1)), other, one)

    tracks = {name: mixed(getattr(a, name), getattr(b, name)) for name in ("keypoints_px", "visibility", "world_m")}
    back = {name: mixed(getattr(b, name), getattr(a, name)) for name in tracks}
    names = ("rotations_wxyz", "root_camera_m", "joints_camera_m")
    poses = {name: mixed(getattr(p, name), getattr(q, name)) for name in names}
    other = {name: mixed(getattr(q, name), getattr(p, name)) for name in names}
    return replace(
        view,
        tracks=(replace(a, **tracks), replace(b, **back)),
        poses=(replace(p, **poses), replace(q, **other)),
    )


def _same_person(track: PersonTrack, pose: PoseTrack, true: PersonTrack) -> float:
    """The share of the frames besides the meeting that show this person; poses go with their frames."""
    assert len(track.times_s) == len(pose.confidence)
    at = np.searchsorted(true.times_s, track.times_s)
    off = np.linalg.norm(track.keypoints_px - true.keypoints_px[at], axis=-1).max(axis=1)
    return float((off < 1e-6)[np.abs(track.times_s - MEET_S) > MEETING_S].mean())


def test_an_exchange_in_one_view_is_undone(views: list[CameraView]) -> None:
    known = [Known(), Known(Offset(0.0, 1.0, 0.002, OffsetSource.GIVEN))]
    wrong = [views[0], _exchanged(views[1])]
    assert _same_person(wrong[1].tracks[0], wrong[1].poses[0], views[1].tracks[0]) < 0.7
    apart = with_people_told_apart(wrong, known)
    for view, true in zip(apart, views, strict=True):
        assert len(view.tracks) == 2
        assert all((np.diff(track.times_s) > 0).all() for track in view.tracks)
        best = [
            max(_same_person(t, p, one) for one in true.tracks) for t, p in zip(view.tracks, view.poses, strict=True)
        ]
        assert min(best) == 1.0


def test_what_is_right_stays_and_nobody_near_is_not_cut(views: list[CameraView]) -> None:
    apart = with_people_told_apart(views, [Known(), Known()])
    for view, true in zip(apart, views, strict=True):
        assert [_same_person(view.tracks[k], view.poses[k], true.tracks[k]) == 1.0 for k in (0, 1)] == [True, True]
    alone = replace(views[0], tracks=views[0].tracks[:1], poses=views[0].poses[:1])
    assert len(fragments_of(alone, 0)) == 1
    assert with_people_told_apart([alone, alone], [Known(), Known()])[0] is alone


def test_a_track_is_cut_while_the_other_person_is_lost(views: list[CameraView]) -> None:
    """The tracker loses one of two who meet, and may go on with that one under the name of the other."""
    kept, lost = views[1].tracks
    lost_s = MEET_S - 0.2
    gone = replace(lost, presence=np.where(lost.times_s > lost_s, 0.0, lost.presence))
    cut = fragments_of(replace(views[1], tracks=(kept, gone)), 1)
    assert any(one.track == 0 and one.times_s[0] > lost_s for one in cut)


def test_views_that_have_nothing_in_common_keep_their_tracks(views: list[CameraView]) -> None:
    known = [Known(), Known(Offset(30.0, 1.0, 0.002, OffsetSource.GIVEN))]
    apart, found = find_take_and_people(views, known, CameraSource.PEOPLE)
    assert found.take.used == (0,)
    assert apart[1].tracks == views[1].tracks


def test_a_view_is_contradicted_by_what_its_own_poses_explain_better() -> None:
    good, bad = ViewFit(0, 0.015, 0.012, 0.6), ViewFit(1, 0.09, 0.014, 0.7)
    assert contradicted([good, replace(bad, common_m=0.02)]) is None
    assert contradicted([good, bad]) is bad
    assert surest([good, bad]) is bad
    assert contradicted([good, replace(bad, common_m=0.04)]) is not None, "2 cm more than its own poses"
    assert contradicted([good, replace(bad, common_m=float("nan"))]) is None


def test_a_view_that_shows_somebody_for_a_moment_is_not_the_surer_one(views: list[CameraView]) -> None:
    view, frames = views[0], len(views[0].tracks[0].times_s)
    long = replace(view.tracks[0], presence=view.tracks[0].presence * 1.0)
    brief = replace(long, presence=np.where(np.arange(frames) < frames // 5, long.presence, 0.0))
    rows = np.arange(frames // 5)
    moment = as_view(view, [Fragment(0, 0, rows, (0.0, float(long.times_s[rows[-1]])))])
    moment = replace(moment, poses=tuple(replace(one, confidence=one.confidence * 1.2) for one in moment.poses))
    eye = (view.intrinsics, np.eye(3), np.zeros(3))
    whole_fit = view_fit(0, PersonView(long, *eye), view.poses[0], view, 0)
    brief_fit = view_fit(1, PersonView(brief, *eye), view.poses[0], moment, 0)
    assert whole_fit.common_m == pytest.approx(whole_fit.own_m, rel=0.2)
    assert surest([brief_fit, whole_fit]) is whole_fit


def test_fragments_that_share_a_frame_are_joined_without_it_standing_twice(views: list[CameraView]) -> None:
    frames = np.arange(20)
    parts = [Fragment(0, 1, frames[10:], (10 / 30, 19 / 30)), Fragment(0, 0, frames[:11], (0.0, 10 / 30))]
    track = joined_view(views[0], [parts]).tracks[0]
    np.testing.assert_array_equal(track.frame_index, frames)
    assert not parts[0].overlaps(parts[1])
    assert parts[0].overlaps(replace(parts[1], times_s=(0.0, 0.6)))


def test_fragments_find_each_other_however_many_there_are(views: list[CameraView]) -> None:
    step_s, fragments = grid_step_s(tuple(views)), 24

    def actors(view: CameraView) -> list[Actor]:
        made = []
        for number in range(fragments):
            seen, signal = sighting(view, number % 2), motion_signal(view, number % 2, step_s)
            assert signal is not None
            later_s = SECONDS * (number // 2)
            seen = replace(seen, times_s=seen.times_s + later_s)
            made.append(Actor(seen, replace(signal, start_s=signal.start_s + later_s)))
        return made

    here, there = actors(views[0]), actors(views[1])
    moment = replace(there[0].seen, **{name: getattr(there[0].seen, name)[:2] for name in ("times_s", "points")})
    pairs = align_parts(here, [*there, replace(there[0], seen=moment)], 0.0)
    assert sorted((a, b) for a, b, _ in pairs) == [(one, one) for one in range(fragments)]
    assert sorted((a, b) for a, b, _ in align_parts(here, there)) == [(one, one) for one in range(fragments)]
