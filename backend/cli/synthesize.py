"""`python -m backend synthesize`: render training images of dressed bodies with known truth.

May import `backend.synthesis`. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from backend.cli.output import Terminal, cancel_on_interrupt
from backend.errors import BadInputError
from backend.synthesis.dataset import DatasetRequest, make_dataset
from backend.synthesis.generate import RenderSettings
from backend.synthesis.sheet import contact_sheet

_EXAMPLES = """examples:
  marionet synthesize -o renders --count 20000 --mocap mocap/ --assets makehuman/ --panoramas light/
  marionet synthesize -o videos --count 2400 --film 12 --shard-size 240 --mocap mocap/
  marionet synthesize -o trial --count 200 --sheet trial.png          # no data: random poses, plain clothes

A stopped run goes on where it was when it is started again with the same options.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "synthesize",
        help="render training images of posed bodies with ground truth",
        description="Render training images of dressed bodies in poses from mocap, with ground truth.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the shards (made if missing)")
    parser.add_argument("--count", type=int, required=True, help="number of images")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same images (default 0)")
    parser.add_argument("--mocap", type=Path, help="folder of .bvh or .amc files; without it all poses are random")
    parser.add_argument(
        "--held-out", action="store_true", help="use poses of the subjects that are held out of training"
    )
    parser.add_argument("--assets", type=Path, help="MakeHuman assets: clothes/, hair/, eyebrows/, skins/")
    parser.add_argument("--panoramas", type=Path, help="folder of equirectangular .hdr images for backdrop and light")
    parser.add_argument("--size", type=int, default=320, help="side of an image in px (default 320)")
    parser.add_argument(
        "--margin", type=float, default=1.12, help="room around the crop that a tracker would take (default 1.12)"
    )
    parser.add_argument("--random-poses", type=float, default=0.12, help="share of poses not from mocap (default 0.12)")
    parser.add_argument(
        "--film", type=int, default=1, metavar="FRAMES", help="images in a row that are a video at 30/s (default 1)"
    )
    parser.add_argument("--shard-size", type=int, default=250, help="images per file (default 250)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of the result to this PNG")
    parser.add_argument("--json", action="store_true", help="report as one JSON event a line")
    parser.add_argument("--quiet", action="store_true", help="report errors only")


def run(args: argparse.Namespace) -> int:
    """Render, report, draw the sheet."""
    if not 64 <= args.size <= 2048:
        raise BadInputError(f"--size {args.size} is not between 64 and 2048")
    if not 0.0 <= args.random_poses <= 1.0:
        raise BadInputError(f"--random-poses {args.random_poses} is not between 0 and 1")
    settings = RenderSettings(
        seed=args.seed,
        size_px=args.size,
        margin=args.margin,
        random_pose_share=args.random_poses,
        sequence_frames=args.film,
        assets=str(args.assets or ""),
        panoramas=str(args.panoramas or ""),
    )
    request = DatasetRequest(
        args.output, args.count, settings, args.mocap, args.held_out, args.shard_size, args.workers
    )
    terminal = Terminal(args.json, args.quiet)
    with cancel_on_interrupt() as cancel:
        made = make_dataset(request, terminal.progress, cancel)
    if args.sheet:
        contact_sheet(args.output, args.sheet)
    terminal.event("done", made=made, total=args.count, output=str(args.output))
    if not args.quiet:
        terminal.line(f"{args.output}: {args.count} images, {made} made now")
    return 0
