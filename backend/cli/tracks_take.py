"""`tracks` with several videos: who is in each, and who is the same. May import the backend's rooms."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from backend.cli.output import Terminal, cancel_on_interrupt
from backend.multiview.people_in_views import PeopleOfTake, find_people_of_take
from backend.multiview.setup_file import read_setup
from backend.multiview.take_request import TakeRequest, parse_offsets
from backend.solving.device import choose_device
from backend.solving.outputs import check_apart, check_writable
from backend.solving.people_listing import PeopleListingRequest, summarise, write_sheet
from backend.solving.request import SolveQuality, SolveRequest
from backend.types import PersonTrack
from backend.video import FrameRange, parse_range

HEAD = f"{'person':>6}  {'from s':>8}  {'to s':>8}  {'frames':>6}  {'height px':>9}  {'presence':>8}"


@dataclass(frozen=True, slots=True)
class SameTrack:
    """One person's track in one video, for programs: the video's place from 1 and the number that `solve` takes."""

    video: int
    person: int


def run_take(args: argparse.Namespace) -> int:
    """List who is in each video, then who is the same."""
    sheets = _sheets(args.sheet, len(args.video))
    for video in args.video:
        check_apart(video, sheets)
    terminal, request = Terminal(as_json=args.json), _request(args)
    with cancel_on_interrupt() as cancel:
        found = find_people_of_take(request, terminal.progress, cancel)
    for place, tracks in enumerate(found.tracks):
        terminal.line(f"video {place + 1}: {args.video[place]}")
        list_tracks(terminal, tracks, place + 1)
    _tell_same(terminal, found)
    for place, path in enumerate(sheets):
        if found.tracks[place]:
            write_sheet(_listing(args, request.videos[place]), found.tracks[place], path)
            terminal.line(f"wrote {path}")
            terminal.event("picture", file=str(path))
    return 0


def list_tracks(terminal: Terminal, tracks: Sequence[PersonTrack], video: int = 0) -> None:
    """The table of one video's people; with the video's place (from 1) in the events of a take."""
    terminal.line(HEAD)
    for place, track in enumerate(tracks):
        row = summarise(place, track)
        terminal.line(
            f"{row.person:>6}  {row.first_s:>8.2f}  {row.last_s:>8.2f}  {row.frames:>6}"
            f"  {row.height_px:>9.0f}  {row.presence:>8.2f}"
        )
        terminal.event("track", **asdict(row), **({"video": video} if video else {}))


def _tell_same(terminal: Terminal, found: PeopleOfTake) -> None:
    """Who is the same in the videos, and which video could not be compared."""
    for excluded in found.take.excluded:
        terminal.warn(excluded.text, "view_excluded")
    rows = [_same(found, tracks) for tracks in (person.tracks for person in found.people)]
    if not any(len(row) > 1 for row in rows):
        terminal.line("nobody was found in more than one video")
        return
    terminal.line("the same person")
    for row in rows:
        words = "   ".join(f"video {one.video}: person {one.person}" for one in row)
        terminal.line(f"  {words}{'' if len(row) > 1 else '   in no other video'}")
        terminal.event("same", tracks=[asdict(one) for one in row])


def _same(found: PeopleOfTake, places: Sequence[int | None]) -> list[SameTrack]:
    return [
        SameTrack(view + 1, found.tracks[view][place].track_id)
        for view, place in enumerate(places)
        if place is not None
    ]


def _request(args: argparse.Namespace) -> TakeRequest:
    """Everybody of every video; nothing is written, whatever the output is called."""
    output = Path("take.npz")
    videos = tuple(
        SolveRequest(
            video=video,
            output=output,
            range=parse_range(args.range) if args.range else FrameRange(),
            max_people=args.max_people,
            quality=SolveQuality(args.quality),
            device=args.device,
            slow_motion=args.slow_motion,
            sequence_fps=args.fps,
        )
        for video in args.video
    )
    setup = None if args.setup is None else read_setup(args.setup)
    return TakeRequest(videos, output, parse_offsets(args.offset, len(videos)), setup=setup)


def _listing(args: argparse.Namespace, video: SolveRequest) -> PeopleListingRequest:
    return PeopleListingRequest(
        video.video, video.video_options, video.quality, choose_device(args.device), args.max_people
    )


def _sheets(sheet: Path | None, count: int) -> tuple[Path, ...]:
    """One sheet for each video: people.png becomes people.0.png, people.1.png."""
    if sheet is None:
        return ()
    paths = tuple(sheet.with_suffix(f".{place}{sheet.suffix}") for place in range(count))
    for path in paths:
        check_writable(path)
    return paths
