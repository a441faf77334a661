"""Cuts in one of several videos, and slow videos: nothing is smoothed or interpolated across a cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.embedding.augmented_views import TWO_VIEWS
from backend.embedding.fit_terms import RefineSettings
from backend.embedding.pose_model import PoseModel, PoseOptions, load_model
from backend.evaluation.simulated_takes import SimulatedCamera, SimulatedView
from backend.multiview.fragments import fragments_of
from backend.multiview.joint_fit import JointFitSettings
from backend.multiview.joint_poses import JointOptions, PersonView, all_cuts, solve_person
from backend.multiview.resample import resampled_track
from backend.multiview.samples import samples_at, sighting
from backend.multiview.synchronise import motion_signal
from backend.multiview.take_person import views_of_person
from backend.multiview.types import CameraEstimate, CameraSource, CameraView, Offset, PersonInViews, Take
from backend.solving.video_pass import TrackedVideo
from backend.types import PersonTrack, PoseTrack
from tests.multiview.motions import take_of, views_of

FRAMES, FPS = 60, 30.0
CUT_S = 30 / FPS
QUICK = JointOptions(PoseOptions(views=TWO_VIEWS), JointFitSettings(RefineSettings(iterations=4)))


@pytest.fixture(scope="module")
def model() -> PoseModel:
    return load_model(threads=1)


@pytest.fixture(scope="module")
def take() -> tuple[SimulatedView, ...]:
    return take_of([SimulatedCamera(10.0, seconds=FRAMES / FPS), SimulatedCamera(75.0, seconds=FRAMES / FPS)])


def with_cut(track: PersonTrack) -> PersonTrack:
    """From the cut on the person is elsewhere in the image, smaller, and moves backwards."""
    points = track.keypoints_px.copy()
    points[30:] = 0.6 * points[:29:-1] + [300, 100]
    return replace(track, keypoints_px=points)


def rows(track: PersonTrack, count: int) -> PersonTrack:
    names = ("frame_index", "times_s", "keypoints_px", "keypoint_depth", "visibility", "world_m", "presence", "box_px")
    return replace(track, **{name: getattr(track, name)[:count] for name in names})


def seen(
    take: tuple[SimulatedView, ...], tracks: list[PersonTrack], cuts_s: tuple[float, ...] = ()
) -> list[PersonView]:
    """Both views at the clock of the first; the second one has the cuts."""
    found = []
    for place, (view, track) in enumerate(zip(take, tracks, strict=True)):
        camera = view.camera_from_world
        on_first = replace(track, times_s=tracks[0].times_s)
        found.append(PersonView(on_first, view.true, camera[:3, :3], camera[:3, 3], cuts_s if place else ()))
    return found


def test_a_cut_in_the_second_video_changes_nothing_before_it(model: PoseModel, take: tuple[SimulatedView, ...]) -> None:
    whole = [take[0].tracks[0], with_cut(take[1].tracks[0])]
    before = [rows(track, 30) for track in whole]
    alone, through, apart = (
        solve_person(model, views, QUICK).joints_camera_m[25:30]
        for views in (seen(take, before), seen(take, whole), seen(take, whole, (CUT_S - 1e-6,)))
    )
    worse_m, off_m = (np.linalg.norm(one - alone, axis=-1).mean() for one in (through, apart))
    assert worse_m > 0.012, (worse_m, off_m)
    assert off_m < 0.25 * worse_m, (worse_m, off_m)


def test_cuts_are_counted_on_the_clock_of_the_first_video(take: tuple[SimulatedView, ...]) -> None:
    def tracked(track: PersonTrack, *cuts_s: float) -> TrackedVideo:
        return TrackedVideo(track.frame_index, track.times_s, (track,), cuts_s, False, False, 0.0)

    first, second = take[0].tracks[0], with_cut(take[1].tracks[0])
    cameras = tuple(CameraEstimate(view.true, view.camera_from_world, CameraSource.PEOPLE) for view in take)
    known = Take((Path("a.mp4"), Path("b.mp4")), (Offset(), Offset(0.31)), cameras, ())
    person = PersonInViews(0, (0, 0))
    found = views_of_person(known, person, {0: tracked(first, CUT_S), 1: tracked(second, CUT_S, 90.0)})
    assert all_cuts(list(found.values())) == pytest.approx((CUT_S, CUT_S + 0.31), abs=2e-6)
    shots = [np.searchsorted(found[view].cuts_s, first.times_s, side="right") for view in (0, 1)]
    assert int(np.argmax(shots[0])) == 30, "the cut is the first frame after it"
    apart_s = np.diff(found[1].apart().track.times_s)
    assert int(np.argmax(apart_s)) == int(np.argmax(shots[1])) - 1
    assert apart_s.max() > 1.0


def test_no_frame_is_a_mixture_of_two_shots(take: tuple[SimulatedView, ...]) -> None:
    track = take[0].tracks[0]
    points = np.where(np.arange(FRAMES)[:, None, None] < 30, 100.0, 500.0) + np.zeros((FRAMES, 33, 2))
    times_s = np.arange(0.005, 1.9, 1 / 60)
    flat = replace(track, keypoints_px=points, presence=np.ones(FRAMES))
    mixed, apart = (resampled_track(flat, Offset(), times_s, cuts_s) for cuts_s in ((), (CUT_S,)))
    assert len(np.unique(mixed.keypoints_px.round(6))) > 2
    assert (apart.presence > 0).all()
    expected = np.where(times_s < CUT_S, 100.0, 500.0)
    np.testing.assert_allclose(apart.keypoints_px[:, 0, 0], expected, rtol=1e-12)


def test_a_cut_is_no_motion_and_no_moment_of_the_calibration(model: PoseModel, take: tuple[SimulatedView, ...]) -> None:
    view = views_of(model, take)[0]
    jump = replace(view, tracks=(with_cut(view.tracks[0]),), poses=(with_jump(view),))
    told = replace(jump, cuts_s=(CUT_S,))
    plain, quiet = (motion_signal(one, 0) for one in (jump, told))
    assert plain is not None
    assert quiet is not None
    at = round((CUT_S - plain.start_s) / plain.step_s)
    speed = np.linalg.norm(plain.velocity, axis=1)
    assert int(speed.argmax()) == pytest.approx(at, abs=5), "the cut is the fastest of all"
    assert np.linalg.norm(quiet.velocity, axis=1)[at] == 0.0
    between = samples_at(
        sighting(told, 0), Offset(), np.array([CUT_S - 1.5 / FPS, CUT_S - 0.5 / FPS, CUT_S + 0.5 / FPS])
    )
    assert between.seen.tolist() == [True, False, True]
    both = replace(told, tracks=told.tracks * 2, poses=told.poses * 2)
    ends = [one.times_s[1] for one in fragments_of(both, 0)]
    assert any(abs(end - (CUT_S - 1 / FPS)) < 1e-6 for end in ends), "a tracker may go on with anybody after a cut"


def with_jump(view: CameraView) -> PoseTrack:
    """The view's poses with the second half upside down."""
    joints = view.poses[0].joints_camera_m.copy()
    joints[30:, :, 1] *= -1.0
    return replace(view.poses[0], joints_camera_m=joints)


@pytest.mark.parametrize(("fps", "shown"), [(6.0, True), (8.0, True), (2.0, False)])
def test_a_slow_video_shows_people_between_its_frames(take: tuple[SimulatedView, ...], fps: float, shown: bool) -> None:
    """Frames of slow videos are further apart than the longest gap of others; beyond 0.4 s nothing is made up."""
    track = take[0].tracks[0]
    slow = replace(track, times_s=np.arange(FRAMES) / fps, presence=np.ones(FRAMES))
    times_s = np.arange(1, 60) / 30.0
    found = resampled_track(slow, Offset(), times_s)
    assert bool((found.presence > 0).all()) is shown
    lost = replace(slow, presence=np.where((slow.times_s > 0.4) & (slow.times_s < 1.2), 0.0, 1.0))
    assert not (resampled_track(lost, Offset(), times_s).presence > 0).all(), "a gap in the track stays one"
