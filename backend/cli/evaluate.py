"""`python -m backend evaluate`: accuracy tables on simulated held-out subjects and on real recordings with truth.

May import `backend.evaluation`, `backend.datasets`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.cli.output import Terminal
from backend.datasets import read_library
from backend.embedding.model import PoseModel, load_model
from backend.errors import BadInputError
from backend.evaluation.real import recording_errors
from backend.evaluation.recording import read_recording
from backend.evaluation.tables import markdown_table
from backend.people import Quality

_EXAMPLES = """examples:
  marionet evaluate --mocap mocap/                       # simulated landmark sequences of held-out subjects
  marionet evaluate --recording balancing/               # a real recording with calibration.json and joints_world_m.npy
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "evaluate", help="measure accuracy", epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mocap", type=Path, help="folder of mocap: measures its held-out subjects")
    parser.add_argument(
        "--recording", type=Path, action="append", default=[], help="folder of a real recording; may be repeated"
    )
    parser.add_argument("--towers", type=Path, help="towers other than the shipped ones")
    parser.add_argument("--bank", type=Path, help="a bank other than the shipped one")
    parser.add_argument("--windows", type=int, default=4000, help="simulated windows (default 4000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulation (default 0)")
    parser.add_argument("-o", "--output", type=Path, help="also write the tables to this Markdown file")
    parser.add_argument("--json", action="store_true", help="report as one JSON event a line")
    parser.add_argument("--quiet", action="store_true", help="report errors only")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.mocap is None and not args.recording:
        raise BadInputError("nothing to evaluate", "Give --mocap FOLDER or --recording FOLDER")
    terminal = Terminal(args.json, args.quiet)
    model = load_model(towers=args.towers, bank=args.bank)
    parts = [_simulated(args, model)] if args.mocap else []
    parts += [_recording(folder, model) for folder in args.recording]
    text = "\n".join(parts)
    terminal.event("tables", markdown=text)
    terminal.line(text)
    if args.output:
        args.output.write_text(text, encoding="utf-8")
    return 0


def _simulated(args: argparse.Namespace, model: PoseModel) -> str:
    from backend.evaluation.simulated import held_out_batch, share_within_mm, simulated_errors

    library = read_library(args.mocap)
    rows: list[list[object]] = []
    for name, takes in (("held-out subjects", library.held_out()), ("training subjects", library.training())):
        batch = held_out_batch(takes, args.windows, args.seed)
        errors = simulated_errors(batch, model.towers, model.bank)
        averages = [errors.average_mm[count] for count in (20, 100, 500) if count in errors.average_mm]
        within = 100 * share_within_mm(batch, model.towers)
        rows.append([name, errors.auxiliary_mm, errors.max_mm, *averages, errors.oracle_mm, within])
    header = [
        "simulated sequences, MPJPE mm",
        "auxiliary",
        "Max",
        "Avg(20)",
        "Avg(100)",
        "Avg(500)",
        "nearest in bank",
        "own poses within 30 mm, %",
    ]
    return f"Bank of {len(model.bank)} candidates, {args.windows} windows.\n\n" + markdown_table(header, rows)


def _recording(folder: Path, model: PoseModel) -> str:
    recording = read_recording(folder)
    rows = [
        [row.network, row.method, row.mpjpe_clip_mm, row.pa_mpjpe_mm, row.acceleration_mm]
        for row in recording_errors(recording, model, (Quality.FULL, Quality.HEAVY))
    ]
    header = ["landmark network", "method", "mpjpe_clip mm", "pa_mpjpe mm", "acceleration mm"]
    return f"{recording.name}: {len(recording.cameras)} cameras, bank of {len(model.bank)}.\n\n" + markdown_table(
        header, rows
    )
