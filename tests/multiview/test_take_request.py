"""Requests of takes and the command line: what is refused, and with which words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from backend.cli import main
from backend.errors import BadInputError
from backend.multiview.find_take import FoundTake
from backend.multiview.solve_take import _Solved, _told
from backend.multiview.take_news import choice_elsewhere, person_in
from backend.multiview.take_request import CloseUp, TakeRequest, parse_close_ups, parse_offsets
from backend.multiview.types import CameraEstimate, CameraSource, Offset, OffsetSource, Take, TakeSetup
from backend.people.options import Choice, Selection
from backend.pipeline import WatchedVideo
from backend.solving.request import SolveRequest
from backend.types import Intrinsics


def _videos(count: int) -> tuple[SolveRequest, ...]:
    return tuple(SolveRequest(Path(f"{place}.mp4"), Path("take.npz")) for place in range(count))


def test_each_video_has_a_checkpoint_of_its_own() -> None:
    each = TakeRequest(_videos(3), Path("out/take.npz")).each()
    assert len({one.output for one in each}) == 3
    assert {one.output.parent for one in each} == {Path("out")}


@pytest.mark.parametrize("count", [1, 17])
def test_a_take_has_two_to_sixteen_videos(count: int) -> None:
    with pytest.raises(BadInputError, match="A take has 2 to 16 videos"):
        TakeRequest(_videos(count), Path("take.npz"))


def test_offsets_and_set_ups_are_one_for_each() -> None:
    with pytest.raises(BadInputError, match="1 offsets for 2 videos"):
        TakeRequest(_videos(2), Path("take.npz"), offsets=(None,))
    with pytest.raises(BadInputError, match="The set-up has 1 cameras, the take 2 videos"):
        TakeRequest(_videos(2), Path("take.npz"), setup=TakeSetup(("a",), (None,)))


def test_one_video_needs_a_close_up() -> None:
    (first,) = _videos(1)
    assert TakeRequest((first,), Path("take.npz"), close_ups=(CloseUp(Path("face.mp4")),)).each()
    with pytest.raises(BadInputError, match="16 close-ups at most"):
        TakeRequest((first,), Path("take.npz"), close_ups=(CloseUp(Path("face.mp4")),) * 17)


def test_offsets_of_the_command_line() -> None:
    assert parse_offsets([], 3) == ()
    given = parse_offsets(["1.25,?"], 3)
    assert given == (Offset(), Offset(1.25, 1.0, 0.002, OffsetSource.GIVEN), None)
    assert parse_offsets(["-0.5s"], 2)[1] == Offset(-0.5, 1.0, 0.002, OffsetSource.GIVEN)
    with pytest.raises(BadInputError, match="2 values for 2 videos"):
        parse_offsets(["1,2"], 2)
    with pytest.raises(BadInputError, match="no number of seconds"):
        parse_offsets(["soon"], 2)
    for text in ("nan", "inf", "-1e300", "86401"):
        with pytest.raises(BadInputError, match="within a day"):
            parse_offsets([text], 2)
        with pytest.raises(BadInputError, match="within a day"):
            parse_close_ups([Path("face.mp4")], [text])
    assert parse_offsets(["-86400"], 2)[1] == Offset(-86_400.0, 1.0, 0.002, OffsetSource.GIVEN)


def test_a_person_chosen_in_a_first_video_that_is_left_out_is_told() -> None:
    videos = _videos(3)
    by_number = replace(videos[0], person=Selection(Choice.INDEX, index=2))
    request = TakeRequest((by_number, *videos[1:]), Path("take.npz"))
    (warning,) = choice_elsewhere(request, (1, 2))
    assert "chosen in video 1, which is left out" in warning.text
    assert "the largest person in video 2 was solved" in warning.text
    assert person_in(request, 0).index == 2
    assert person_in(request, 1).choice is Choice.LARGEST
    by_point = replace(videos[0], person=Selection(Choice.CLICK, click_px=(10.0, 20.0)))
    assert person_in(TakeRequest((by_point, *videos[1:]), Path("take.npz")), 2).choice is Choice.LARGEST
    everybody = replace(videos[0], person=Selection(Choice.ALL))
    assert person_in(TakeRequest((everybody, *videos[1:]), Path("take.npz")), 2).choice is Choice.ALL
    assert choice_elsewhere(request, (0, 2)) == choice_elsewhere(request, ()) == ()
    assert choice_elsewhere(TakeRequest(videos, Path("take.npz")), (1, 2)) == ()


def test_options_of_takes_need_several_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["solve", "one.mp4", "-o", str(tmp_path / "take.npz"), "--offset", "1"])
    assert code == 2
    assert "--offset is for several videos" in capsys.readouterr().err
    code = main(["solve", "one.mp4", "-o", str(tmp_path / "take.npz"), "--close-up-offset", "1"])
    assert code == 2
    assert "--close-up-offset is for close-ups, and there is none" in capsys.readouterr().err


def test_a_missing_video_of_a_take_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["solve", str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"), "-o", str(tmp_path / "take.npz")])
    assert code == 3
    assert "a.mp4" in capsys.readouterr().err


def test_a_dark_video_of_a_take_is_named() -> None:
    camera = CameraEstimate(Intrinsics(np.eye(3), 640, 480, "test"), np.eye(4), CameraSource.PEOPLE)
    take = Take((Path("light.mp4"), Path("night.mp4")), (Offset(), Offset()), (camera, camera), ())
    videos = [SimpleNamespace(tracked=SimpleNamespace(is_dark=dark)) for dark in (False, True)]
    (told,) = _told(_Solved((), FoundTake(take)), cast(list[WatchedVideo], videos))
    assert told.code == "video_dark"
    assert "night.mp4" in told.text
    assert "light.mp4" not in told.text
