"""`tracks`: who is in a video, with numbers and a contact sheet to choose from. May import the backend's rooms."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from backend.cli.output import Terminal, cancel_on_interrupt
from backend.cli.solve import SHEETS, add_source, check_images
from backend.solving.device import choose_device
from backend.solving.people_listing import PeopleListingRequest, find_everyone, summarise, write_sheet
from backend.solving.request import SolveQuality
from backend.video import FrameRange, VideoOptions, parse_range

_EXAMPLES = """\
examples:
  marionet tracks street.mp4 --sheet people.png
  marionet solve street.mp4 -o walker.npz --person 2
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "tracks",
        help="list the people in a video",
        description="List the people in a video with the numbers that `solve --person` takes.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("video", type=Path, help="video file, folder of images, or pattern")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="contact sheet: one row a person, with its number")
    add_source(parser)
    parser.add_argument(
        "--max-people", type=int, default=4, metavar="N", help="maximum number of people tracked at once (default 4)"
    )
    parser.add_argument("--quality", choices=[q.value for q in SolveQuality], default=SolveQuality.BEST.value)
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, directml ...")
    parser.add_argument("--json", action="store_true", help="events as JSON lines on standard output")


def run(args: argparse.Namespace) -> int:
    """Watch the video and list who is in it. Raises NoPersonError where nobody is."""
    check_images(args.video, ((args.sheet, SHEETS),))
    terminal = Terminal(as_json=args.json)
    chosen = parse_range(args.range) if args.range else FrameRange()
    video = VideoOptions(range=chosen, sequence_fps=args.fps, slow_motion=args.slow_motion)
    quality, device = SolveQuality(args.quality), choose_device(args.device)
    request = PeopleListingRequest(args.video, video, quality, device, args.max_people)
    with cancel_on_interrupt() as cancel:
        tracks = find_everyone(request, terminal.progress, cancel)
    terminal.line(f"{'person':>6}  {'from s':>8}  {'to s':>8}  {'frames':>6}  {'height px':>9}  {'presence':>8}")
    for place, track in enumerate(tracks):
        row = summarise(place, track)
        terminal.line(
            f"{row.person:>6}  {row.first_s:>8.2f}  {row.last_s:>8.2f}  {row.frames:>6}"
            f"  {row.height_px:>9.0f}  {row.presence:>8.2f}"
        )
        terminal.event("track", **asdict(row))
    if args.sheet is not None:
        write_sheet(request, tracks, args.sheet)
        terminal.line(f"wrote {args.sheet}")
        terminal.event("picture", file=str(args.sheet))
    return 0
