"""Following people through made-up videos: crossing, leaving, returning, occlusion, resuming."""

from __future__ import annotations

import numpy as np
import pytest

from backend.errors import Cancelled, NoPersonError
from backend.people import (
    Choice,
    PeopleNetworks,
    PeopleOptions,
    PeopleTracker,
    Selection,
    choose_tracks,
    track_people,
)
from backend.types import CancelToken, Frame, PersonTrack, Progress
from tests.people.stage import STRIPES, VEST, Actor, info, line, video

EVERYBODY = PeopleOptions(selection=Selection(Choice.ALL))


def _track(
    actors: list[Actor], count: int, networks: PeopleNetworks, options: PeopleOptions = EVERYBODY
) -> list[PersonTrack]:
    return track_people(video(actors, count), info(count), options, networks=networks)


def _hip_x(track: PersonTrack, frame: int) -> float:
    row = int(np.flatnonzero(track.frame_index == frame)[0])
    return float(track.keypoints_px[row, [23, 24], 0].mean())


def test_one_person_walks_through(networks: PeopleNetworks) -> None:
    walk = line((200, 220), (480, 230), range(40))
    tracks = _track([Actor(VEST, walk)], 40, networks)
    assert len(tracks) == 1
    track = tracks[0]
    assert track.frame_index.tolist() == list(range(40))
    assert (track.presence > 0.5).all()
    assert track.times_s == pytest.approx(np.arange(40) / 25)
    hips = track.keypoints_px[:, [23, 24]].mean(1)
    way = np.array([walk[frame] for frame in range(40)])
    offset = hips - way
    assert np.abs(offset - offset.mean(0)).max() < 8  # moves with the image of the person
    assert track.world_m.shape == (40, 33, 3)
    assert np.abs(track.world_m).max() < 1.5


def test_crossing_people_keep_their_numbers(networks: PeopleNetworks) -> None:
    count = 50
    vest = Actor(VEST, line((560, 225), (160, 225), range(count)))
    stripes = Actor(STRIPES, line((170, 220), (550, 220), range(count)))  # passes in front
    tracks = _track([vest, stripes], count, networks)
    assert len(tracks) == 2
    right_to_left = min(tracks, key=lambda track: _hip_x(track, count - 1))
    left_to_right = max(tracks, key=lambda track: _hip_x(track, count - 1))
    assert _hip_x(right_to_left, 2) > 450
    assert _hip_x(left_to_right, 2) < 280
    assert (left_to_right.presence > 0).mean() > 0.95  # the one in front is never lost
    hidden = right_to_left.presence == 0
    assert np.isnan(right_to_left.keypoints_px[hidden]).all()


def test_person_who_leaves_and_returns_keeps_the_number(networks: PeopleNetworks) -> None:
    away = line((380, 220), (380, 220), range(22)) | line((400, 220), (430, 220), range(45, 70))
    tracks = _track([Actor(STRIPES, away)], 70, networks)
    assert [track.track_id for track in tracks] == [0]
    track = tracks[0]
    seen = track.frame_index[track.presence > 0]
    assert {*range(22), *range(50, 70)} <= set(seen.tolist())
    gap = (track.frame_index > 23) & (track.frame_index < 45)
    assert (track.presence[gap] == 0).all()
    assert np.isnan(track.world_m[gap]).all()


def test_another_person_at_the_same_place_is_another(networks: PeopleNetworks) -> None:
    first = Actor(VEST, line((360, 225), (360, 225), range(20)))
    second = Actor(STRIPES, line((360, 220), (360, 220), range(32, 55)))
    tracks = _track([first, second], 55, networks)
    assert [(track.track_id, bool(track.frame_index[0] < 20)) for track in tracks] == [(0, True), (1, False)]


@pytest.mark.parametrize(("back", "numbers"), [(STRIPES, [0]), (VEST, [0, 1])])
def test_only_the_same_person_is_known_again_after_long(
    networks: PeopleNetworks, back: str, numbers: list[int]
) -> None:
    """Away for 2.4 s and back elsewhere in dimmer light: the same clothes are the same person, others are not."""
    left, back_at, count = 18, 78, 92
    actors = [
        Actor(STRIPES, line((200, 220), (220, 220), range(left))),
        Actor(back, line((520, 220), (500, 220), range(back_at, count))),
    ]
    with PeopleTracker(EVERYBODY, networks) as tracker:
        for frame in video(actors, count):
            dim = 1.0 if frame.index < left else 0.85
            tracker.update(Frame(frame.index, frame.time_s, np.asarray(frame.image * dim, np.uint8)))
        tracker.flush()
        tracks = tracker.tracks()
    assert [track.track_id for track in tracks] == numbers
    assert (tracks[-1].presence[-8:] > 0.5).all()
    assert choose_tracks(tracks, Selection(Choice.LONGEST))[0].times_s[-1] == pytest.approx(
        (count - 1) / 25 if numbers == [0] else (left - 1) / 25, abs=0.1
    )


def test_new_person_is_found_while_another_is_followed(networks: PeopleNetworks) -> None:
    first = Actor(VEST, line((170, 225), (170, 225), range(40)))
    second = Actor(STRIPES, line((520, 220), (520, 220), range(15, 40)))
    tracks = _track([first, second], 40, networks)
    assert len(tracks) == 2
    assert 15 <= tracks[1].frame_index[0] <= 15 + 0.5 * 25 + 2
    alone = PeopleOptions(max_people=1, selection=Selection(Choice.ALL))
    assert len(_track([first, second], 40, networks, alone)) == 1


def test_nobody_is_a_named_error(networks: PeopleNetworks) -> None:
    with pytest.raises(NoPersonError, match="No person"):
        _track([], 4, networks)


def test_a_cut_ends_the_motion_not_the_person(networks: PeopleNetworks) -> None:
    actor = Actor(STRIPES, line((150, 220), (150, 220), range(10)) | line((560, 220), (560, 220), range(10, 20)))

    def run(tracker: PeopleTracker, first: int, count: int) -> list[PersonTrack]:
        for frame in video([actor], count, first):
            if frame.index == 10:
                tracker.cut()
            tracker.update(frame)
        tracker.flush()
        return tracker.tracks()

    with PeopleTracker(EVERYBODY, networks) as tracker, PeopleTracker(EVERYBODY, networks) as other:
        before, tracks = run(tracker, 0, 10), run(tracker, 10, 10)
        run(other, 0, 14)
        with PeopleTracker(EVERYBODY, networks) as resumed:
            resumed.restore(other.state())
            again = run(resumed, 14, 6)
    assert [track.track_id for track in tracks] == [0]
    assert (tracks[0].presence > 0.5).all()
    assert _hip_x(tracks[0], 9) < 250
    assert _hip_x(tracks[0], 10) > 450
    for name in ("keypoints_px", "visibility", "world_m"):  # what comes after a cut changes nothing before it
        np.testing.assert_array_equal(getattr(tracks[0], name)[:10], getattr(before[0], name))
        np.testing.assert_array_equal(getattr(again[0], name)[:10], getattr(before[0], name))


def test_resumed_run_gives_the_same_tracks(networks: PeopleNetworks) -> None:
    actors = [
        Actor(VEST, line((560, 225), (160, 225), range(40))),
        Actor(STRIPES, line((170, 220), (550, 220), range(40))),
    ]

    def run(tracker: PeopleTracker, first: int, count: int) -> None:
        for frame in video(actors, count, first):
            tracker.update(frame)

    with PeopleTracker(EVERYBODY, networks) as whole, PeopleTracker(EVERYBODY, networks) as start:
        run(whole, 0, 40)
        whole.flush()
        run(start, 0, 21)  # in the middle of the crossing, with frames on their way
        done = start.taken_in
        assert done < 21
        with PeopleTracker(EVERYBODY, networks) as rest:
            rest.restore(start.state())
            run(rest, done, 40 - done)
            rest.flush()
            pairs = list(zip(whole.tracks(), rest.tracks(), strict=True))
    assert len(pairs) == 2
    for one, other in pairs:
        assert one.track_id == other.track_id
        np.testing.assert_array_equal(one.frame_index, other.frame_index)
        np.testing.assert_array_equal(one.keypoints_px, other.keypoints_px)
        np.testing.assert_array_equal(one.world_m, other.world_m)


def test_one_thread_and_two_agree(networks: PeopleNetworks) -> None:
    actor = Actor(VEST, line((250, 220), (420, 230), range(16)))
    one = _track([actor], 16, networks, PeopleOptions(threads=1))[0]
    two = _track([actor], 16, networks, PeopleOptions(threads=2))[0]
    gap = np.linalg.norm(one.keypoints_px[:, 11:29] - two.keypoints_px[:, 11:29], axis=-1)
    assert np.median(gap) < 1.5


@pytest.mark.slow
def test_batches_of_torch_agree_with_the_cpu(networks: PeopleNetworks, request: pytest.FixtureRequest) -> None:
    """The path of a GPU, several frames in one batch, computed by torch on the CPU."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    torch.set_num_threads(1)  # its threads wait for each other in a spin, which is slow beside other work
    actor = Actor(VEST, line((250, 220), (290, 223), range(5)))
    one = _track([actor], 5, networks, PeopleOptions(threads=1))[0]
    batched = track_people(video([actor], 5), info(5), PeopleOptions(device="torch"))[0]
    assert (batched.presence > 0.5).all()
    gap = np.linalg.norm(one.keypoints_px[:, 11:29] - batched.keypoints_px[:, 11:29], axis=-1)
    assert np.median(gap) < 1.5


def test_cancel_and_progress(networks: PeopleNetworks) -> None:
    token, seen = CancelToken(), []

    def progress(state: Progress) -> None:
        seen.append(state)
        if state.done == 3:
            token.cancel()

    with pytest.raises(Cancelled):
        track_people(video([], 10), info(10), EVERYBODY, progress, token, networks)
    assert [state.done for state in seen] == [1, 2, 3]
    assert seen[-1].total == 10


@pytest.mark.shared
@pytest.mark.parametrize(
    ("recording", "people", "least_share"),
    [
        ("squats/pose_squats.mp4", 1, 1.0),
        ("squats/pose_1.mp4", 1, 1.0),
        ("balancing/cam3.mp4", 1, 1.0),
        pytest.param("jumping_two_people/demo.mp4", 2, 0.88, marks=pytest.mark.slow),
    ],
)
def test_real_people(shared, networks: PeopleNetworks, recording: str, people: int, least_share: float) -> None:
    av = pytest.importorskip("av")
    from backend.types import Frame

    with av.open(str(shared / "real" / recording)) as container:
        frames = (
            Frame(index, float(frame.time), frame.to_ndarray(format="rgb24"))
            for index, frame in enumerate(container.decode(video=0))
        )
        tracks = track_people(frames, info(0), EVERYBODY, networks=networks)
    assert len(tracks) == people
    assert all((track.presence > 0).mean() >= least_share for track in tracks)
