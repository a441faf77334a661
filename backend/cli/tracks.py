"""`tracks`: who is in a video, with numbers and a contact sheet to choose from. May import the backend's rooms."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.cli.output import Terminal, cancel_on_interrupt
from backend.cli.solve import SHEETS, add_source, check_images
from backend.cli.solve_take import add_known, refuse_take_options
from backend.cli.tracks_take import list_tracks, run_take
from backend.solving.device import choose_device
from backend.solving.people_listing import PeopleListingRequest, find_everyone, write_sheet
from backend.solving.request import SolveQuality
from backend.video import FrameRange, VideoOptions, parse_range

_EXAMPLES = """\
examples:
  marionet tracks street.mp4 --sheet people.png
  marionet solve street.mp4 -o walker.npz --person 2
  marionet tracks left.mp4 right.mp4 --sheet people.png
      two cameras: who is in each, and who is the same
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
    parser.add_argument(
        "video", type=Path, nargs="+", help="video file, folder of images, or pattern; several videos: one performance"
    )
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="contact sheet: one row a person, with its number")
    add_source(parser)
    parser.add_argument(
        "--max-people", type=int, default=4, metavar="N", help="maximum number of people tracked at once (default 4)"
    )
    parser.add_argument("--quality", choices=[q.value for q in SolveQuality], default=SolveQuality.BEST.value)
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, directml ...")
    parser.add_argument("--json", action="store_true", help="events as JSON lines on standard output")
    add_known(parser.add_argument_group("several cameras"))


def run(args: argparse.Namespace) -> int:
    """Watch the video and list who is in it. Raises NoPersonError where nobody is."""
    if len(args.video) > 1:
        check_images(args.video[0], ((args.sheet, SHEETS),))
        return run_take(args)
    refuse_take_options(args)
    (args.video,) = args.video
    check_images(args.video, ((args.sheet, SHEETS),))
    terminal = Terminal(as_json=args.json)
    chosen = parse_range(args.range) if args.range else FrameRange()
    video = VideoOptions(range=chosen, sequence_fps=args.fps, slow_motion=args.slow_motion)
    quality, device = SolveQuality(args.quality), choose_device(args.device)
    request = PeopleListingRequest(args.video, video, quality, device, args.max_people)
    with cancel_on_interrupt() as cancel:
        tracks = find_everyone(request, terminal.progress, cancel)
    list_tracks(terminal, tracks)
    if args.sheet is not None:
        write_sheet(request, tracks, args.sheet)
        terminal.line(f"wrote {args.sheet}")
        terminal.event("picture", file=str(args.sheet))
    return 0
