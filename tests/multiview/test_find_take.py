"""Takes are found in simulated views, and views that cannot take part are named with the reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.embedding.pose_model import PoseModel, load_model
from backend.evaluation.simulated_takes import SimulatedCamera, SimulatedView
from backend.multiview.alignment import Actor, align
from backend.multiview.calibrate import CalibrationSettings, adjust_views
from backend.multiview.chain import Known, chain
from backend.multiview.find_take import _by_chance, _misfit, find_take
from backend.multiview.joint_poses import JointOptions, PersonView, solve_person
from backend.multiview.resample import resampled_track
from backend.multiview.samples import sighting
from backend.multiview.synchronise import motion_signal
from backend.multiview.take_scale import heights_m, in_scale_of
from backend.multiview.types import CameraSource, CameraView, Exclusion, Offset, OffsetSource
from tests.multiview.motions import take_of, views_of

START_S = 0.43


@pytest.fixture(scope="module")
def model() -> PoseModel:
    return load_model()


@pytest.fixture(scope="module")
def take() -> tuple[SimulatedView, ...]:
    cameras = [
        SimulatedCamera(10.0, start_s=0.2, seconds=4.0),
        SimulatedCamera(75.0, start_s=0.2 + START_S, fps=60.0, seconds=4.0, roll_deg=12.0),
    ]
    return take_of(cameras, people=2)


@pytest.fixture(scope="module")
def views(model: PoseModel, take: tuple[SimulatedView, ...]) -> list[CameraView]:
    return views_of(model, take)


def _rotation(take: tuple[SimulatedView, ...]) -> np.ndarray:
    return take[1].camera_from_world[:3, :3] @ take[0].camera_from_world[:3, :3].T


def test_clock_people_and_camera_are_found(take: tuple[SimulatedView, ...], views: list[CameraView]) -> None:
    found = find_take(views).take
    assert found.used == (0, 1)
    assert abs(found.offsets[1].start_s - START_S) < 0.01
    assert [person.tracks for person in found.people] == [(0, 0), (1, 1)]
    camera = found.cameras[1]
    assert camera is not None
    off = np.arccos(np.clip((np.trace(camera.rotation @ _rotation(take).T) - 1) / 2, -1, 1))
    assert np.degrees(off) < 4.0
    assert camera.source is CameraSource.PEOPLE


@pytest.mark.parametrize("mover", [0, 1])
def test_somebody_who_stands_and_looks_on_says_nothing_of_the_clocks(views: list[CameraView], mover: int) -> None:
    random = np.random.default_rng(7)
    sides = []
    for view in views:
        moving, onlooker = (Actor(sighting(view, place), motion_signal(view, place)) for place in (0, 1))
        assert onlooker.signal is not None
        noise = random.normal(size=onlooker.signal.velocity.shape)
        still = replace(onlooker, signal=replace(onlooker.signal, velocity=noise, speed_m_s=0.01))
        sides.append([still, moving] if mover else [moving, still])
    found = align(*sides)
    assert found is not None
    assert sorted(found.pairs) == [(0, 0), (1, 1)]
    assert found.pairs[0] == (mover, mover), "the drift of the clocks is measured on the first pair"
    assert (found.moving, found.people) == (1, 1)
    assert found.correlation > 0.7
    assert abs(found.offset_s - START_S) < 0.05


def test_two_views_together_are_nearer_to_the_truth_than_the_better_one(
    model: PoseModel, take: tuple[SimulatedView, ...], views: list[CameraView]
) -> None:
    found = find_take(views).take
    track = views[0].tracks[0]
    seen = []
    for view, camera, offset in zip(views, found.cameras, found.offsets, strict=True):
        assert camera is not None
        own = resampled_track(view.tracks[0], offset, track.times_s)
        seen.append(PersonView(own, camera.intrinsics, camera.rotation, camera.translation_m))
    together = solve_person(model, seen, JointOptions()).joints_camera_m
    alone = [_error_mm(view.poses[0].joints_camera_m, one.joints_m[0]) for view, one in zip(views, take, strict=True)]
    assert _error_mm(together, take[0].joints_m[0]) < 0.8 * min(alone)


def test_a_person_hidden_in_the_first_view_is_carried_by_the_second(
    model: PoseModel, take: tuple[SimulatedView, ...], views: list[CameraView]
) -> None:
    found = find_take(views).take
    track = views[0].tracks[0]
    hidden = replace(track, presence=np.where((track.times_s > 1.0) & (track.times_s < 2.0), 0.0, track.presence))
    seen = []
    for place, (camera, offset) in enumerate(zip(found.cameras, found.offsets, strict=True)):
        assert camera is not None
        own = resampled_track(hidden if place == 0 else views[1].tracks[0], offset, track.times_s)
        seen.append(PersonView(own, camera.intrinsics, camera.rotation, camera.translation_m))
    joints = solve_person(model, seen, JointOptions()).joints_camera_m
    rows = (track.times_s > 1.2) & (track.times_s < 1.8)
    assert np.isfinite(joints[rows]).all()
    assert _error_mm(joints[rows], take[0].joints_m[0][rows]) < 120.0


def test_a_person_who_is_confused_in_a_view_is_taken_from_the_other(
    model: PoseModel, take: tuple[SimulatedView, ...], views: list[CameraView]
) -> None:
    """Where somebody is covered, the network reports the other person, as surely as ever."""
    found = find_take(views).take
    track = views[0].tracks[0]
    covered = (track.times_s > 1.0) & (track.times_s < 2.0)
    mirrored = track.keypoints_px[:, :1] + (track.keypoints_px - track.keypoints_px[:, :1]) * [-1.0, 0.8]
    confused = replace(track, keypoints_px=np.where(covered[:, None, None], mirrored, track.keypoints_px))
    errors = []
    for apart in (None, np.where(covered, 0.04, 1.0)):
        seen = []
        for place, (camera, offset) in enumerate(zip(found.cameras, found.offsets, strict=True)):
            assert camera is not None
            own = resampled_track(views[1].tracks[0] if place else confused, offset, track.times_s)
            trust = None if place else apart
            seen.append(PersonView(own, camera.intrinsics, camera.rotation, camera.translation_m, (), trust))
        joints = solve_person(model, seen, JointOptions()).joints_camera_m
        rows = (track.times_s > 1.2) & (track.times_s < 1.8)
        errors.append(_error_mm(joints[rows], take[0].joints_m[0][rows]))
    assert errors[1] < 0.7 * errors[0]


def test_cameras_that_explain_the_views_no_better_than_each_view_does_are_refused(views: list[CameraView]) -> None:
    strict = CalibrationSettings(misfit_share=0.01)
    found = find_take(views, settings=strict).take
    assert [one.reason for one in found.excluded] == [Exclusion.DOES_NOT_FIT]
    told = [Known(), Known(Offset(START_S, source=OffsetSource.GIVEN))]
    assert find_take(views, told, strict).take.used == (0, 1), "whoever gave the offset knows that they belong together"


@pytest.mark.parametrize(("lead", "own_m", "fits"), [(0.02, 0.013, False), (0.3, 0.013, True), (0.3, 0.006, False)])
def test_motion_that_agrees_clearly_is_trusted_further_than_motion_that_hardly_does(
    views: list[CameraView], lead: float, own_m: float, fits: bool
) -> None:
    """Over a second or two the keypoints of a true pair may lie as far off as from each view's own poses."""
    links, _ = chain(views, [0, 1], [Known(), Known()])
    adjusted = adjust_views(views, links, [Known(), Known()], CalibrationSettings())
    assert adjusted is not None
    assert adjusted.links[1].lead > 0.1
    links = [replace(link, lead=lead * link.view) for link in links]
    result = replace(adjusted.result, residual_m=np.array([0.007, 0.012]))
    some = replace(adjusted, links=tuple(links), result=result, own_m=np.array([0.02, own_m]))
    assert (_misfit(some, CalibrationSettings(), given=False)[1] < 1.0) == fits


@pytest.mark.parametrize("second", [OffsetSource.MOTION, OffsetSource.SOUND])
def test_of_three_views_the_first_is_asked_too_if_nothing_but_motion_joins_it(
    views: list[CameraView], second: OffsetSource
) -> None:
    links, _ = chain(views, [0, 1], [Known(), Known()])
    adjusted = adjust_views(views, links, [Known(), Known()], CalibrationSettings())
    assert adjusted is not None
    first, other = adjusted.links
    clock, by_motion = adjusted.offsets
    result = replace(adjusted.result, residual_m=np.array([0.03, 0.005, 0.005]))
    three = replace(
        adjusted,
        links=(first, replace(other, lead=0.0), replace(other, lead=0.0)),
        offsets=(clock, replace(by_motion, source=second), by_motion),
        result=result,
        own_m=np.full(3, 0.02),
    )
    beside = _by_chance(three, CalibrationSettings())
    assert (beside[0] > 1.0) == (second is OffsetSource.MOTION)
    assert beside[2] == pytest.approx(0.25 / CalibrationSettings().misfit_share)


def test_the_one_who_is_solved_is_as_tall_as_given(views: list[CameraView]) -> None:
    found = replace(find_take(views), sizes={0: 1.1, 1: 0.9})
    one, other = found.take.people[0], replace(found.take.people[0], person=1)
    alone = in_scale_of(found, [one])
    assert heights_m(1.8, True, alone, [one]) == pytest.approx([1.8])
    assert heights_m(1.8, True, alone, [one, other]) == pytest.approx([1.8, 1.8 * 0.9 / 1.1])
    before, after = found.take.cameras[1], alone.take.cameras[1]
    assert before is not None
    assert after is not None
    assert np.allclose(after.translation_m, before.translation_m / 1.1)
    assert in_scale_of(found, [one, other]) is found, "of several people the mean is as tall as given"


def test_a_view_in_which_somebody_covers_everybody_all_the_time_is_used(views: list[CameraView]) -> None:
    """Keypoints that count little everywhere say no more that the view fits, and no less."""
    shadows = tuple(replace(track, track_id=track.track_id + 10) for track in views[1].tracks)
    unsolved = tuple(
        replace(poses, rotations_wxyz=np.full_like(poses.rotations_wxyz, np.nan)) for poses in views[1].poses
    )
    covered = replace(views[1], tracks=(*views[1].tracks, *shadows), poses=(*views[1].poses, *unsolved))
    assert sighting(covered, 0).weight.max() < 0.25
    found = find_take([views[0], covered]).take
    assert found.used == (0, 1), found.excluded


@pytest.mark.parametrize("given_m", [0.9, 2.5])
def test_a_given_height_is_kept_however_short_or_tall(views: list[CameraView], given_m: float) -> None:
    """The cameras stand in the scale of that height: another body would not fit between them."""
    found = find_take(views)
    assert heights_m(given_m, True, replace(found, sizes={0: 1.0}), found.take.people[:1]) == [given_m]


def test_calibrated_cameras_measure_several_people_and_leave_one_as_tall_as_given(views: list[CameraView]) -> None:
    found = find_take(views)
    cameras = tuple(one and replace(one, source=CameraSource.FILE) for one in found.take.cameras)
    calibrated = replace(found, take=replace(found.take, cameras=cameras), sizes={0: 1.05, 1: 0.65})
    both = list(found.take.people)
    assert heights_m(1.7, True, calibrated, both[1:]) == [1.7]
    assert heights_m(1.7, True, calibrated, both) == pytest.approx([1.7 * 1.05, 1.7 * 0.65])
    assert heights_m(1.7, False, calibrated, both[1:]) == pytest.approx([1.7 * 0.65])


def _error_mm(joints_m: np.ndarray, truth_m: np.ndarray) -> float:
    known = np.isfinite(joints_m).all(axis=(1, 2))
    joints, truth = joints_m[known] - joints_m[known][:, :1], truth_m[known] - truth_m[known][:, :1]
    scale = (joints * truth).sum() / (joints * joints).sum()
    return float(1000 * np.linalg.norm(scale * joints - truth, axis=-1).mean())


def test_given_cameras_and_clock_are_kept(take: tuple[SimulatedView, ...], views: list[CameraView]) -> None:
    known = [
        Known(None if place == 0 else Offset(START_S, source=OffsetSource.GIVEN), view.camera_from_world)
        for place, view in enumerate(take)
    ]
    calibrated = [replace(view, intrinsics=one.true) for view, one in zip(views, take, strict=True)]
    found = find_take(calibrated, known)
    camera = found.take.cameras[1]
    assert camera is not None
    assert camera.source is CameraSource.FILE
    assert np.abs(camera.rotation - _rotation(take)).max() < 0.01
    assert found.take.offsets[1] == Offset(START_S, source=OffsetSource.GIVEN)
    settings = CalibrationSettings()
    assert camera.uncertainty.rotation_deg < 2 * settings.known_pose_deg, "as sure as what is given"
    assert camera.uncertainty.position_m < 2 * settings.known_pose_m


def test_the_same_video_twice_is_told(views: list[CameraView]) -> None:
    found = find_take([views[0], replace(views[0], name="copy")]).take
    assert found.used == (0,)
    assert [one.reason for one in found.excluded] == [Exclusion.SAME_VIDEO]
    assert "same recording" in found.excluded[0].text


def test_a_moving_camera_is_refused_in_words(views: list[CameraView]) -> None:
    found = find_take([views[0], replace(views[1], camera_moves=True)]).take
    assert found.used == (0,)
    assert found.excluded[0].reason is Exclusion.MOVES
    assert "moves" in found.excluded[0].text


def test_other_people_are_told(model: PoseModel, views: list[CameraView]) -> None:
    other = views_of(model, take_of([SimulatedCamera(40.0, seconds=4.0)], seed=77))
    found = find_take([views[0], other[0]]).take
    assert found.used == (0,)
    assert found.excluded[0].reason in {Exclusion.NOBODY_IN_COMMON, Exclusion.DOES_NOT_FIT}


def test_two_cameras_in_one_place_are_told(model: PoseModel) -> None:
    near = take_of([SimulatedCamera(10.0, seconds=4.0), SimulatedCamera(11.0, seconds=4.0, lens_mm=38.0)], seed=9)
    found = find_take(views_of(model, near)).take
    assert found.used == (0,)
    assert found.excluded[0].reason in {Exclusion.SAME_PLACE, Exclusion.SAME_VIDEO}


def test_a_view_without_people_leaves_the_others(views: list[CameraView]) -> None:
    found = find_take([views[0], replace(views[1], tracks=(), poses=()), views[1]]).take
    assert found.used == (0, 2)
    assert [one.view for one in found.excluded] == [1]


def test_where_the_first_video_shows_nobody_the_next_one_takes_its_place(views: list[CameraView]) -> None:
    empty = replace(views[0], name="video 1 (empty.mp4)", tracks=(), poses=())
    found = find_take([empty, *views]).take
    assert found.used == (1, 2)
    assert [person.tracks for person in found.people] == [(None, 0, 0), (None, 1, 1)]
    (told,) = found.excluded
    assert told.text.startswith("video 1 (empty.mp4) is left out: nobody in it is solved")
    alone = find_take([empty, views[0]]).take
    assert alone.used == (1,)
    assert find_take([empty, empty]).take.used == (0,)
