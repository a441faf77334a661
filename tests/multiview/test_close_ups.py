"""Close-ups: their clock from how face and hands move, whose they are, and hands that lie at no wrist of the body."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from backend.errors import BadInputError, VideoError
from backend.face.expression import FaceEvidence
from backend.face.follow import no_faces
from backend.hands import HandTrack, no_hands
from backend.hands.model import ANGLES
from backend.multiview.close_ups import PlacedCloseUp, PlacedCloseUps, WatchedCloseUp, close_up_request, place_close_ups
from backend.multiview.detail_motion import DetailMotion, best_match, detail_motion
from backend.multiview.mirrored_close_ups import in_mirror, is_mirrored
from backend.multiview.solve_take import solve_take
from backend.multiview.take_details import PersonDetails, SeenDetails, at_their_wrists, on_take_clock
from backend.multiview.take_request import CloseUp, TakeRequest, parse_close_ups
from backend.multiview.types import CameraEstimate, CameraSource, Offset, OffsetSource, PersonInViews, Take
from backend.pipeline import WatchedVideo
from backend.solving.checkpoint import Checkpoint
from backend.solving.close_up_pass import SeenCloseUp
from backend.solving.detail_pass import DetailEvidence, Details
from backend.solving.request import SolveRequest
from backend.solving.video_pass import TrackedVideo
from backend.types import Intrinsics, PersonTrack, PoseTrack
from backend.video import open_video
from blender_addon.motion.clip_warning import WarningCode
from blender_addon.motion.face import FACE_WEIGHT_NAMES
from blender_addon.motion.rotations import quaternion_multiply, rotvec_to_quaternion

BODY_S = np.arange(360) / 30.0
CAMERA = Intrinsics(np.array([[1000.0, 0, 640.0], [0, 1000.0, 360.0], [0, 0, 1.0]]), 1280, 720, "test")

FACING = np.array([1.0, 1.0, 0.0, 0.0]) / np.sqrt(2.0)  # a head that looks into the camera


def wander(seed: int, times_s: np.ndarray, columns: int) -> np.ndarray:
    """Smooth values (N, columns) from 0 to 1 that do not repeat; the same seed is the same performance."""
    rng = np.random.default_rng(seed)
    rates, phases = rng.uniform(0.2, 1.4, (2, columns)), rng.uniform(0, 6, (2, columns))
    waves = [np.sin(2 * np.pi * rates[i] * times_s[:, None] + phases[i]) for i in (0, 1)]
    return np.asarray(0.5 + 0.25 * (waves[0] + waves[1]))


def performance(
    seed: int, times_s: np.ndarray, noise: float, hands: bool = True, face: bool = True, left: bool = True
) -> DetailEvidence:
    """What a video shows of a person at these times of the performance."""
    rng, frames = np.random.default_rng(seed + 100), len(times_s)
    turns = quaternion_multiply(rotvec_to_quaternion(0.6 * wander(seed + 1, times_s, 3) - 0.3), FACING)
    weights = wander(seed, times_s, 52) + rng.normal(0, noise, (frames, 52))
    seen = FaceEvidence(weights, np.full(frames, 0.9), np.full(frames, 80.0), np.zeros(52), turns, np.full(frames, 0.9))
    fingers = no_hands(frames)
    for side in (0, 1):
        fingers.angles[:, side] = wander(seed + 2 + side, times_s, ANGLES) + rng.normal(0, noise, (frames, ANGLES))
        fingers.wrist_wxyz[:, side] = rotvec_to_quaternion(0.8 * wander(seed + 4 + side, times_s, 3))
    fingers.confidence[:], fingers.pixels[:] = 0.8, 60.0
    fingers.confidence[:, 0] *= left
    return DetailEvidence(fingers if hands else None, seen if face else None)


def motion(seed: int, begins_s: float, seconds: float, rate: float = 50.0, **parts: bool) -> DetailMotion:
    own_s = np.arange(round(seconds * rate)) / rate
    return detail_motion(own_s, performance(seed, own_s + begins_s, 0.08, **parts))


@pytest.mark.parametrize("parts", [{"hands": False}, {"face": False}, {}])
@pytest.mark.parametrize("begins_s", [2.31, -1.7])
def test_motion_tells_the_clock(begins_s: float, parts: dict[str, bool]) -> None:
    body = detail_motion(BODY_S, performance(1, BODY_S, 0.15))
    match = best_match([body], motion(1, begins_s, 7.0, **parts), None)
    assert match is not None
    assert abs(match.start_s - begins_s) < 0.03
    assert match.correlation > 0.5


def close_up(
    tmp_path: Path, seed: int, begins_s: float, offset: Offset | None = None, mirror: bool = False, **parts: bool
) -> WatchedCloseUp:
    own_s = np.arange(210) / 30.0
    frames = len(own_s)
    video = tmp_path / f"close{seed}.mp4"
    hands = HandTrack(np.zeros((frames, 2, 21, 2)), np.ones((frames, 2)), np.full(frames, np.nan))
    seen = SeenCloseUp(own_s, hands, None)
    made = WatchedCloseUp(CloseUp(video, offset), video, CAMERA, seen, Checkpoint(tmp_path / "kept", "key"))

    class Known(WatchedCloseUp):
        __slots__ = ()

        def evidence(self) -> DetailEvidence:
            shown = performance(seed, own_s + begins_s, 0.08, **parts)
            return in_mirror(shown) if mirror else shown

    return Known(made.given, made.path, made.intrinsics, made.seen, made.checkpoint)


@pytest.fixture
def people() -> dict[int, list[DetailMotion]]:
    return {person: [detail_motion(BODY_S, performance(seed, BODY_S, 0.15))] for person, seed in ((0, 1), (1, 21))}


def test_it_goes_to_the_person_who_moves_like_it(tmp_path: Path, people: dict[int, list[DetailMotion]]) -> None:
    first = SolveRequest(tmp_path / "body.mp4", tmp_path / "take.npz")
    pair = [close_up(tmp_path, 21, 2.5), close_up(tmp_path, 1, 1.0, face=False)]
    placed = place_close_ups(pair, first, (0.0, 12.0), people)
    assert not placed.notes
    assert {person: len(found) for person, found in placed.by_person.items()} == {0: 1, 1: 1}
    (found,) = placed.by_person[1]
    assert abs(found.offset.start_s - 2.5) < 0.04
    assert found.offset.source is OffsetSource.MOTION


def test_a_stranger_is_left_out_in_words(tmp_path: Path, people: dict[int, list[DetailMotion]]) -> None:
    first = SolveRequest(tmp_path / "body.mp4", tmp_path / "take.npz")
    placed = place_close_ups([close_up(tmp_path, 77, 2.0)], first, (0.0, 12.0), people)
    assert not placed.by_person
    (note,) = placed.notes
    assert note.code is WarningCode.VIEW_EXCLUDED
    assert "close77.mp4 is left out" in note.text
    assert "--close-up-offset" in note.text


@pytest.mark.parametrize("parts", [{"hands": False}, {"face": False}, {}])
@pytest.mark.parametrize("given", [None, Offset(1.0, source=OffsetSource.GIVEN)])
def test_a_mirrored_one_is_noticed_and_exchanged_back(
    tmp_path: Path, people: dict[int, list[DetailMotion]], parts: dict[str, bool], given: Offset | None
) -> None:
    first = SolveRequest(tmp_path / "body.mp4", tmp_path / "take.npz")
    alone = {0: people[0]}
    plain, mirrored = (
        place_close_ups([close_up(tmp_path, 1, 1.0, given, mirror, **parts)], first, (0.0, 12.0), alone)
        for mirror in (False, True)
    )
    assert not plain.notes
    (note,) = mirrored.notes
    assert note.code is WarningCode.VIEW_MIRRORED
    assert "close1.mp4 is mirrored" in note.text
    (expected,), (found,) = plain.by_person[0], mirrored.by_person[0]
    assert abs(found.offset.start_s - 1.0) < 0.04
    for one, other in ((expected.evidence.hands, found.evidence.hands), (expected.evidence.face, found.evidence.face)):
        assert (one is None) == (other is None)
    if expected.evidence.hands is not None and found.evidence.hands is not None:
        np.testing.assert_array_equal(found.evidence.hands.angles, expected.evidence.hands.angles)
    if expected.evidence.face is not None and found.evidence.face is not None:
        np.testing.assert_array_equal(found.evidence.face.weights, expected.evidence.face.weights)


def nods(azimuth_rad: float, tilt_rad: float, seed: int, mouth: float) -> DetailEvidence:
    """Nods and speech of a head that hardly turns, for a camera at one side that looks down; a mouth that opens seems
    to move aside in it by a part `mouth`.
    """
    rng, frames = np.random.default_rng(seed), len(BODY_S)
    angles = np.stack([1.2 * wander(9, BODY_S, 1)[:, 0], 0 * BODY_S, 0.05 * wander(8, BODY_S, 1)[:, 0]], axis=1)
    camera = quaternion_multiply(rotvec_to_quaternion([tilt_rad, 0, 0]), rotvec_to_quaternion([0, azimuth_rad, 0]))
    head = quaternion_multiply(quaternion_multiply(camera, FACING), rotvec_to_quaternion(angles))
    turns = quaternion_multiply(head, rotvec_to_quaternion(rng.normal(0, 0.01, (frames, 3))))
    weights = rng.normal(0.2, 0.01, (frames, 52))
    opens = wander(7, BODY_S, 1)[:, 0]
    weights[:, FACE_WEIGHT_NAMES.index("jawOpen")] += opens
    weights[:, FACE_WEIGHT_NAMES.index("mouthLeft")] += mouth * opens
    whole = np.ones(frames)
    return DetailEvidence(None, FaceEvidence(weights, whole, 80.0 * whole, np.zeros(52), turns, whole))


@pytest.mark.parametrize("tilt_rad", [0.0, 0.25])
@pytest.mark.parametrize("azimuth_rad", [0.2, 0.6])
def test_a_nodding_head_between_two_cameras_is_not_mirrored(azimuth_rad: float, tilt_rad: float) -> None:
    """Seen from the left and from the right, a nod rolls, and an open mouth moves aside, to opposite sides."""
    body, close = nods(-azimuth_rad, tilt_rad, 1, -0.3), nods(azimuth_rad, tilt_rad, 2, 0.3)
    assert not is_mirrored([detail_motion(BODY_S, body)], detail_motion(BODY_S, close), Offset())
    assert is_mirrored([detail_motion(BODY_S, body)], detail_motion(BODY_S, in_mirror(close)), Offset())


def one_hand(side: int, seed: int) -> DetailMotion:
    """The motion of one hand of two that move much alike."""
    found, rng = no_hands(len(BODY_S)), np.random.default_rng(seed)
    bends, turns = (0.8 * wander(3, BODY_S, n) + 0.2 * wander(30 + side, BODY_S, n) for n in (ANGLES, 3))
    found.angles[:, side] = bends + rng.normal(0, 0.05, bends.shape)
    found.wrist_wxyz[:, side] = rotvec_to_quaternion(0.8 * turns)
    found.confidence[:, side] = 0.8
    return detail_motion(BODY_S, DetailEvidence(found, None))


def test_a_hand_that_the_body_never_shows_is_not_taken_for_the_other_one(tmp_path: Path) -> None:
    """Two hands often move alike; and without a clock, what only moves like the other hand is left out."""
    assert not is_mirrored([one_hand(1, 1)], one_hand(0, 2), Offset())
    first = SolveRequest(tmp_path / "body.mp4", tmp_path / "take.npz")
    body = {0: [detail_motion(BODY_S, performance(1, BODY_S, 0.15, face=False, left=False))]}
    plain, mirrored = (
        place_close_ups([close_up(tmp_path, 1, 1.0, None, mirror, face=False, left=False)], first, (0.0, 12.0), body)
        for mirror in (False, True)
    )
    assert not plain.notes
    assert abs(plain.by_person[0][0].offset.start_s - 1.0) < 0.04
    assert not mirrored.by_person
    assert mirrored.notes[0].code is WarningCode.VIEW_EXCLUDED


def test_a_given_clock_needs_motion_only_to_tell_people_apart(
    tmp_path: Path, people: dict[int, list[DetailMotion]]
) -> None:
    first, given = SolveRequest(tmp_path / "body.mp4", tmp_path / "take.npz"), Offset(3.0, source=OffsetSource.GIVEN)
    alone = place_close_ups([close_up(tmp_path, 77, 0.0, given)], first, (0.0, 12.0), {0: []})
    assert alone.by_person[0][0].offset is given
    two = place_close_ups([close_up(tmp_path, 1, 3.0, given)], first, (0.0, 12.0), people)
    assert list(two.by_person) == [0]
    neither = place_close_ups([close_up(tmp_path, 77, 3.0, given)], first, (0.0, 12.0), people)
    assert "whose face or hands" in neither.notes[0].text
    late = place_close_ups([close_up(tmp_path, 1, 0.0, replace(given, start_s=50.0))], first, (0.0, 12.0), {0: []})
    assert "shows another time" in late.notes[0].text


def test_what_it_says_at_the_times_of_the_take() -> None:
    own_s = np.arange(100) / 50.0
    seen = performance(1, own_s + 1.0, 0.0)
    at = PlacedCloseUp(seen, own_s, Offset(1.0)).at(np.array([0.5, 1.0, 2.0, 3.5]))
    assert at.face is not None
    assert at.hands is not None
    np.testing.assert_allclose(at.face.weights[2], wander(1, np.array([2.0]), 52)[0], atol=1e-6)
    assert np.isnan(at.face.weights[[0, 3]]).all()
    assert np.isnan(at.face.turn_wxyz).all(), "where its camera stands is not known"
    assert np.isnan(at.hands.wrist_wxyz).all()
    assert at.hands.confidence[:, 0].tolist() == pytest.approx([0.0, 0.8, 0.8, 0.0])


def test_hands_at_another_wrist_are_left_out() -> None:
    frames, joints = 4, np.zeros((4, 17, 3))
    joints[:, 13], joints[:, 16] = [0.4, 0.0, 3.0], [-0.4, 0.0, 3.0]
    blank = np.ones(frames)
    poses = PoseTrack(
        np.tile([1.0, 0, 0, 0], (frames, 24, 1)), np.zeros((frames, 3)), joints, blank, blank, blank, np.zeros(3), 1.7,
        np.ones(24),
    )  # fmt: skip
    turn = np.eye(4)
    turn[:3, 3] = [0.0, 0.1, 0.5]
    camera = CameraEstimate(CAMERA, turn, CameraSource.PEOPLE)
    first = CameraEstimate(CAMERA, np.eye(4), CameraSource.PEOPLE)
    own = 1000.0 * (joints[:, (13, 16), :2] + [0.0, 0.1]) / 3.5 + [640.0, 360.0]
    landmarks = np.repeat(own[:, :, None], 21, axis=2)
    landmarks[1] = landmarks[1, ::-1]  # exchanged
    landmarks[2, 0] += 200.0  # far from every wrist
    found = at_their_wrists(HandTrack(landmarks, np.ones((frames, 2)), blank), poses, camera, first)
    assert (found.presence > 0).tolist() == [[True, True], [False, False], [False, True], [True, True]]
    assert np.isnan(found.landmarks_px[1]).all()


def test_a_view_that_is_left_out_of_the_body_says_nothing_of_the_face() -> None:
    frames = 60
    times_s, whole = np.arange(frames) / 30.0, np.ones(frames)
    poses = PoseTrack(
        np.tile([1.0, 0, 0, 0], (frames, 24, 1)), np.zeros((frames, 3)), np.zeros((frames, 17, 3)), whole, whole, whole,
        np.zeros(3), 1.7, np.ones(24),
    )  # fmt: skip
    body = (np.zeros((frames, 33, 2)), np.zeros((frames, 33)), np.ones((frames, 33)), np.zeros((frames, 33, 3)), whole)
    track = PersonTrack(0, np.arange(frames), times_s, *body, np.zeros((frames, 4)))
    tracked = TrackedVideo(np.arange(frames), times_s, (track,), (), camera_moves=False, stopped=False, waited_s=0.0)
    videos = [SimpleNamespace(tracked=tracked, intrinsics=CAMERA)] * 2
    faces = {}
    for view in (0, 1):
        face = replace(no_faces(frames), presence=whole, eyes_px=80.0 * whole)
        face.weights[:], face.turn_wxyz[:], face.middle_px[:] = 0.0, [1.0, 0, 0, 0], [640.0, 360.0]
        face.weights[::2] = 0.8 * view  # somebody else moves in the second video
        faces[view, 0] = Details(face=face)
    camera = CameraEstimate(CAMERA, np.eye(4), CameraSource.PEOPLE)
    take = Take((Path("a.mp4"), Path("b.mp4")), (Offset(), Offset()), (camera, camera), ())
    seen = SeenDetails(faces, PlacedCloseUps({}))
    details = PersonDetails(take, PersonInViews(0, (0, 0)), cast(list[WatchedVideo], videos), seen)
    moved = [details.solve(poses, used).face for used in ((0,), (0, 1))]
    assert moved[0] is not None
    assert moved[1] is not None
    assert not moved[0].weights.any()
    assert moved[1].weights.max() > 0.1


def test_a_clock_against_a_video_that_takes_no_part_counts_where_its_own_is_known(tmp_path: Path) -> None:
    camera = CameraEstimate(CAMERA, np.eye(4), CameraSource.PEOPLE)
    names = (Path("a.mp4"), Path("b.mp4"), Path("c.mp4"))
    videos = [SimpleNamespace(request=SolveRequest(name, tmp_path / "clip.npz")) for name in names]
    watched, given = cast(list[WatchedVideo], videos), [close_up(tmp_path, 1, 0.0, Offset(5.0))]
    known = Offset(3.0, 1.0, 0.002, OffsetSource.SOUND)
    take = Take(names, (Offset(), known, known), (None, camera, camera), ())
    first, same = on_take_clock(take, watched, given)
    assert (first.video, same[0].given.offset) == (names[0], Offset(5.0))
    unknown = replace(take, offsets=(Offset(), Offset(), known))
    first, left = on_take_clock(unknown, watched, given)
    assert (first.video, left[0].given.offset) == (names[1], None)


def test_close_ups_of_the_command_line() -> None:
    videos = [Path("face.mp4"), Path("hand.mp4")]
    assert [one.offset for one in parse_close_ups(videos, [])] == [None, None]
    first, second = parse_close_ups(videos, ["1.5,?"])
    assert first.offset == Offset(1.5, 1.0, 0.002, OffsetSource.GIVEN)
    assert second.offset is None
    with pytest.raises(BadInputError, match="1 values for 2 close-ups"):
        parse_close_ups(videos, ["1.5"])


def test_a_close_up_that_cannot_be_read_is_told_before_the_body_is_solved(tmp_path: Path) -> None:
    """It has the limits of the first video; the rate of an image sequence is not that of a video."""
    body, close = Path(__file__).parents[2] / "assets" / "demo_clip.mp4", tmp_path / "face.mp4"
    close.write_text("no video")
    request = SolveRequest(body, tmp_path / "take.npz", device="cpu", max_frames=600)
    told: list[object] = []
    with pytest.raises(VideoError, match=r"face\.mp4"):
        solve_take(TakeRequest((request,), request.output, close_ups=(CloseUp(close),)), told.append)
    assert not told
    one = close_up_request(replace(request, max_frames=20), CloseUp(body), 0)
    with pytest.raises(BadInputError, match="the limit is 20"):
        open_video(one.video, one.video_options)
    images = replace(request, sequence_fps=25.0)
    rates_fps = [close_up_request(images, CloseUp(Path(name)), 0).sequence_fps for name in ("a.mp4", "a.####.png")]
    assert rates_fps == [None, 25.0]
