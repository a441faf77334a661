"""`python -m backend bank build|info`: make a pose bank from mocap, or say what one holds.

May import `backend.bank`, `backend.datasets`, `backend.embedding`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from backend.bank.bank_file import read_bank, write_bank
from backend.bank.build import BankSettings, build_bank
from backend.cli.output import Terminal
from backend.datasets import read_library
from backend.embedding.model import BANK_FILE, TOWERS_FILE, WEIGHTS_DIR
from backend.embedding.tower_file import read_towers
from backend.embedding.tower_run import Towers
from backend.errors import BadInputError
from backend.types import Progress

_EXAMPLES = """examples:
  marionet bank build --mocap mocap/ -o bank.safetensors --size 1000000 --views 16
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
    parser.add_argument("action", choices=("build", "info"), help="build a bank, or describe one")
    parser.add_argument("-o", "--output", type=Path, help="the bank file to write")
    parser.add_argument("--mocap", type=Path, help="folder of .bvh, or .amc with .asf")
    parser.add_argument("--size", type=int, default=200_000, help="number of candidates (default 200000)")
    parser.add_argument("--views", type=int, default=8, help="virtual cameras a pose (default 8)")
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
    return _info(args, terminal) if args.action == "info" else _build(args, terminal)


def _info(args: argparse.Namespace, terminal: Terminal) -> int:
    bank = read_bank(args.bank)
    terminal.event("bank", candidates=len(bank), poses=len(bank.candidates.rotations_wxyz), tower=bank.tower_hash)
    terminal.line(f"{args.bank}: {len(bank)} candidates of {len(bank.candidates.rotations_wxyz)} poses,")
    terminal.line(f"  {bank.embeddings.shape[1]} dimensions, pose tower {bank.tower_hash}")
    for key, value in bank.provenance.items():
        terminal.line(f"  {key}: {value}")
    return 0


def _build(args: argparse.Namespace, terminal: Terminal) -> int:
    if args.mocap is None or args.output is None:
        raise BadInputError("bank build needs --mocap and --output", "See `marionet bank --help`")
    if args.size < 1 or args.views < 1:
        raise BadInputError(f"--size {args.size} and --views {args.views} must be at least 1")
    towers = Towers(read_towers(args.towers))
    library = read_library(args.mocap)
    takes = (
        [take for take in library.takes if not take.subject.startswith("hdm05")]
        if args.every_subject
        else library.training()
    )
    started = time.monotonic()

    def report(done: int, total: int) -> None:
        left = (time.monotonic() - started) / done * (total - done)
        terminal.progress(Progress("embedding candidates", done, total, left))

    provenance = {"mocap": args.mocap.name, "takes": str(len(takes)), "licence": PROVENANCE_LICENCE}
    bank = build_bank(takes, towers, BankSettings(args.size, args.views, seed=args.seed), provenance, report)
    write_bank(bank, args.output)
    megabytes = args.output.stat().st_size / 1e6
    terminal.event("done", candidates=len(bank), output=str(args.output), megabytes=megabytes)
    terminal.line(f"{args.output}: {len(bank)} candidates, {megabytes:.1f} MB, {time.monotonic() - started:.0f} s")
    return 0


PROVENANCE_LICENCE = (
    "Poses selected and retargeted from CMU motion capture (mocap.cs.cmu.edu, funded by NSF EIA-0196217, free for all "
    "uses), SNU MASS (Apache-2.0) and Animated Drawings (MIT)"
)
