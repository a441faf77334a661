"""`python -m backend bank build|index|info`: make a pose bank from mocap, index a large one, say what one holds.

May import `backend.bank`, `backend.datasets`, `backend.embedding`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from backend.bank.bank_file import read_bank, write_bank
from backend.bank.build import BankSettings, build_bank, pose_table
from backend.bank.disk_index import INDEX_FILE, build_disk_index
from backend.bank.large import LargeSettings, build_large_bank, open_large_bank
from backend.cli.output import Terminal
from backend.datasets import Motion, read_library
from backend.embedding.model_files import BANK_FILE, TOWERS_FILE, WEIGHTS_DIR
from backend.embedding.tower_weights import read_towers
from backend.embedding.towers_onnx import Towers
from backend.errors import BadInputError
from backend.types import Progress

_EXAMPLES = """examples:
  marionet bank build --mocap mocap/ -o bank.safetensors --size 1000000 --views 16
  marionet bank build --large --mocap mocap/ -o bank10m/ --size 10000000 --views 100   # a folder, made in blocks
  marionet bank index --bank bank10m/                                                  # to search it from disk
  marionet bank info
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "bank",
        help="build a pose bank from mocap",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("build", "index", "info"), help="build, index or describe a bank")
    parser.add_argument("-o", "--output", type=Path, help="the bank file to write")
    parser.add_argument("--mocap", type=Path, help="folder of .bvh, or .amc with .asf")
    parser.add_argument("--large", action="store_true", help="write a folder of memory-mapped arrays, in blocks")
    parser.add_argument("--lists", type=int, help="index: number of lists (default: root of the bank's size)")
    parser.add_argument("--size", type=int, default=320_000, help="number of candidates (default 320000)")
    parser.add_argument("--views", type=int, default=7, help="virtual cameras per pose (default 7)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bank (default 0)")
    parser.add_argument(
        "--towers", type=Path, default=WEIGHTS_DIR / TOWERS_FILE, help="the towers that embed the poses"
    )
    parser.add_argument("--bank", type=Path, default=WEIGHTS_DIR / BANK_FILE, help="info: the bank to describe")
    parser.add_argument(
        "--every-subject", action="store_true", help="also use the subjects held out for evaluation (never HDM05)"
    )
    parser.add_argument("--json", action="store_true", help="report as one JSON event a line")
    parser.add_argument("--quiet", action="store_true", help="report errors only")


def run(args: argparse.Namespace) -> int:
    """Build or describe."""
    terminal = Terminal(args.json, args.quiet)
    return {"info": _info, "index": _index, "build": _build}[args.action](args, terminal)


def _info(args: argparse.Namespace, terminal: Terminal) -> int:
    bank = open_large_bank(args.bank) if args.bank.is_dir() else read_bank(args.bank)
    if (args.bank / INDEX_FILE).exists():
        terminal.line(f"{args.bank}: has an index on disk")
    terminal.event("bank", candidates=len(bank), poses=len(bank.candidates.rotations_wxyz), tower=bank.tower_hash)
    terminal.line(f"{args.bank}: {len(bank)} candidates of {len(bank.candidates.rotations_wxyz)} poses,")
    terminal.line(f"  {bank.embeddings.shape[1]} dimensions, pose tower {bank.tower_hash}")
    for key, value in bank.provenance.items():
        terminal.line(f"  {key}: {value}")
    return 0


def _index(args: argparse.Namespace, terminal: Terminal) -> int:
    if not args.bank.is_dir():
        raise BadInputError(f"{args.bank} is not the folder of a large bank", "Make one with `bank build --large`")
    if args.lists is not None and args.lists < 1:
        raise BadInputError(f"--lists {args.lists} must be at least 1")
    bank, started = open_large_bank(args.bank), time.monotonic()
    build_disk_index(
        bank.embeddings,
        args.bank,
        args.lists,
        progress=lambda done, total: terminal.progress(Progress("indexing", done, total, None)),
    )
    terminal.event("done", candidates=len(bank), output=str(args.bank), seconds=time.monotonic() - started)
    terminal.line(f"{args.bank}: index of {len(bank)} candidates, {time.monotonic() - started:.0f} s")
    return 0


def _build(args: argparse.Namespace, terminal: Terminal) -> int:
    if args.mocap is None or args.output is None:
        raise BadInputError("bank build needs --mocap and --output", "See `marionet bank --help`")
    if args.size < 1 or args.views < 1:
        raise BadInputError(f"--size {args.size} and --views {args.views} must be at least 1")
    towers = Towers(read_towers(args.towers))
    library = read_library(args.mocap)
    takes = library.for_banks(args.every_subject)
    started = time.monotonic()

    def report(done: int, total: int) -> None:
        left = (time.monotonic() - started) / done * (total - done)
        terminal.progress(Progress("embedding candidates", done, total, left))

    provenance = {"mocap": args.mocap.name, "takes": str(len(takes)), "licence": PROVENANCE_LICENCE}
    if args.large:
        return _build_large(args, takes, towers, provenance, terminal, report)
    bank = build_bank(takes, towers, BankSettings(args.size, args.views, seed=args.seed), provenance, report)
    write_bank(bank, args.output)
    megabytes = args.output.stat().st_size / 1e6
    terminal.event("done", candidates=len(bank), output=str(args.output), megabytes=megabytes)
    terminal.line(f"{args.output}: {len(bank)} candidates, {megabytes:.1f} MB, {time.monotonic() - started:.0f} s")
    return 0


def _build_large(
    args: argparse.Namespace,
    takes: Sequence[Motion],
    towers: Towers,
    provenance: dict[str, str],
    terminal: Terminal,
    report: Callable[[int, int], None],
) -> int:
    started = time.monotonic()
    settings = BankSettings(args.size, args.views, seed=args.seed)
    poses = pose_table(takes, -(-args.size // args.views), settings, np.random.default_rng(args.seed))
    # where mocap has fewer poses than were asked for, more views of each make up the number
    large = LargeSettings(args.size, max(args.views, -(-args.size // len(poses))), args.seed)
    made = build_large_bank(poses, towers, large, args.output, provenance, report)
    megabytes = sum(path.stat().st_size for path in args.output.iterdir()) / 1e6
    terminal.event("done", candidates=made, output=str(args.output), megabytes=megabytes)
    terminal.line(f"{args.output}: {made} candidates, {megabytes:.1f} MB, {time.monotonic() - started:.0f} s")
    return 0


PROVENANCE_LICENCE = (
    "Poses selected and retargeted from CMU motion capture (mocap.cs.cmu.edu, funded by NSF EIA-0196217, free for all "
    "uses), SNU MASS (Apache-2.0) and Animated Drawings (MIT)"
)
