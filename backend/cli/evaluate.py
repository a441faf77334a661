"""`python -m backend evaluate`: accuracy tables on simulated held-out subjects and on real recordings with truth.

May import `backend.evaluation`, `backend.datasets`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from backend.cli.output import Terminal
from backend.datasets import read_library
from backend.embedding.keypoints import H36M_NAMES
from backend.embedding.model_files import ModelFiles
from backend.embedding.pose_model import PoseModel, load_model
from backend.errors import BadInputError
from backend.evaluation.report import Scored, error_tables, plot_errors
from backend.evaluation.tables import markdown_table
from backend.people import Quality

_EXAMPLES = """examples:
  marionet evaluate --mocap mocap/                       # simulated landmark sequences of held-out subjects
  marionet evaluate --recording balancing/               # a real recording with calibration.json and joints_world_m.npy
  marionet evaluate --renders videos/                     # videos that `synthesize --held-out --film 24` made
  marionet evaluate --mocap mocap/ --exact-keypoints run/checkpoint.pt   # what limits these towers
  marionet evaluate --human36m h36m/ --every 64          # the paper's protocol, for those who have the data
  marionet evaluate --human36m h36m/ --structnet paper/structnet.safetensors
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
    parser.add_argument(
        "--renders", type=Path, action="append", default=[], help="folder of rendered videos; may be repeated"
    )
    parser.add_argument("--films", type=int, default=40, help="videos of each folder of renders (default 40)")
    parser.add_argument("--human36m", type=Path, help="folder of Human3.6M with S9, S11 and metadata.xml")
    parser.add_argument("--subjects", default="S9,S11", help="subjects of Human3.6M (default S9,S11)")
    parser.add_argument("--every", type=int, default=64, help="compare every Nth frame (default 64)")
    parser.add_argument("--structnet", type=Path, help="measure this structnet on Human3.6M, not the shipped towers")
    parser.add_argument("--towers", type=Path, help="measure only these towers, not the shipped ones")
    parser.add_argument("--bank", type=Path, help="a bank other than the shipped one; a large bank's folder too")
    parser.add_argument(
        "--exact-keypoints",
        type=Path,
        action="append",
        default=[],
        metavar="CHECKPOINT",
        help="with --mocap: errors of this training checkpoint's towers when every keypoint is exact; may be repeated",
    )
    parser.add_argument("--windows", type=int, default=4000, help="simulated windows (default 4000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulation (default 0)")
    parser.add_argument("-o", "--output", type=Path, help="also write the tables to this Markdown file")
    parser.add_argument("--ablations", action="store_true", help="recordings: also the inference without each part")
    parser.add_argument("--plots", type=Path, help="folder for plots per joint and per action (PNG)")
    parser.add_argument("--json", action="store_true", help="report as one JSON event a line")
    parser.add_argument("--quiet", action="store_true", help="report errors only")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.mocap is None and not args.recording and not args.renders and args.human36m is None:
        raise BadInputError("nothing to evaluate", "Give --mocap, --recording, --renders or --human36m FOLDER")
    if min(args.every, args.windows, args.films) < 1:
        raise BadInputError(
            f"--every {args.every}, --windows {args.windows} and --films {args.films} must be at least 1"
        )
    terminal = Terminal(args.json, args.quiet)
    parts = [_human36m(args)] if args.human36m else []
    if args.exact_keypoints:
        parts.append(_exact_keypoints(args))
    if (args.mocap and not args.exact_keypoints) or args.recording or args.renders:
        model = _model(args)
        parts += [_simulated(args, model)] if args.mocap and not args.exact_keypoints else []
        parts += [_recording(args, folder, model) for folder in args.recording]
        parts += [_rendered(args, folder, model) for folder in args.renders]
    text = "\n".join(parts)
    terminal.event("tables", markdown=text)
    terminal.line(text)
    if args.output:
        args.output.write_text(text, encoding="utf-8")
    return 0


def _model(args: argparse.Namespace) -> PoseModel:
    return load_model(files=ModelFiles(args.towers, args.bank))


def _simulated(args: argparse.Namespace, model: PoseModel) -> str:
    from backend.evaluation.simulated import (
        SIX_SECONDS,
        TWO_SECONDS,
        clip_errors,
        held_out_batch,
        scores_by_action,
        share_within_mm,
        simulated_errors,
    )
    from backend.evaluation.wide_parts import WIDE_NAME

    library = read_library(args.mocap)
    rows: list[list[object]] = []
    for name, takes in (("held-out subjects", library.held_out()), ("training subjects", library.training())):
        batch = held_out_batch(takes, args.windows, args.seed, model.towers)
        errors = simulated_errors(batch, model.towers, model.bank)
        averages = [errors.average_mm[count] for count in (20, 100, 500) if count in errors.average_mm]
        within = 100 * share_within_mm(batch, model.towers)
        reach = (errors.oracle_mm, errors.parts_oracle_mm)
        rows.append(
            [name, errors.auxiliary_mm, errors.max_mm, *averages, errors.parts_mm, errors.wide_parts_mm, *reach, within]
        )
    header = [
        "simulated sequences, MPJPE mm",
        "auxiliary",
        "Max",
        "Avg(20)",
        "Avg(100)",
        "Avg(500)",
        "by parts",
        WIDE_NAME,
        "nearest in bank",
        "nearest by parts",
        "own poses within 30 mm, %",
    ]
    title = f"Bank of {len(model.bank)} candidates, {args.windows} windows."
    if model.temporal is not None:
        title += " Single windows are measured with the folding image tower alone, clips with both image towers."
    solved_clips: list[list[object]] = []
    for name, frames, share in (("two", TWO_SECONDS, 10), ("six", SIX_SECONDS, 30)):
        solved = clip_errors(library.held_out(), model, max(1, args.windows // share), args.seed, frames)
        solved_clips.append([f"{solved.clips} clips of {name} seconds", solved.solved_mm, solved.without_retrieval_mm])
    clips = markdown_table(
        ["simulated clips of held-out subjects, MPJPE mm", "structured inference", "without retrieval"], solved_clips
    )
    scores = scores_by_action(library.held_out(), model.towers, model.bank, args.windows, args.seed)
    detail = _reported(args, "simulated sequences of held-out subjects", scores, H36M_NAMES)
    return title + "\n\n" + markdown_table(header, rows) + "\n" + clips + "\n" + detail


def _exact_keypoints(args: argparse.Namespace) -> str:
    if args.mocap is None:
        raise BadInputError("--exact-keypoints needs motion to measure on", "Give --mocap FOLDER")
    from backend.evaluation.exact_keypoints import exact_keypoint_errors
    from backend.training.checkpoint import read_trained_towers

    library = read_library(args.mocap)
    rows: list[list[object]] = []
    for path in args.exact_keypoints:
        towers = read_trained_towers(path)
        for name, takes in (("held-out", library.held_out()), ("training", library.training())):
            errors = exact_keypoint_errors(takes, towers, args.windows, args.seed)
            row: list[object] = [path.parent.name, towers.step, name, errors.mpjpe_mm, errors.depth_mm]
            rows.append([*row, errors.pa_mpjpe_mm, errors.trunk_deg, 100 * errors.within_30])
    header = ["exact keypoints", "step", "subjects", "MPJPE mm", "depth mm", "PA-MPJPE mm", "trunk deg"]
    return markdown_table([*header, "own poses within 30 mm, %"], rows)


def _recording(args: argparse.Namespace, folder: Path, model: PoseModel) -> str:
    from backend.evaluation.real import recording_errors, recording_scores
    from backend.evaluation.recording import read_recording

    recording = read_recording(folder)
    scores = recording_scores(recording, model, (Quality.FULL, Quality.HEAVY), ablations=args.ablations)
    rows = [
        [row.network, row.method, row.mpjpe_clip_mm, row.pa_mpjpe_mm, row.acceleration_mm]
        for row in recording_errors(scores)
    ]
    header = ["landmark network", "method", "mpjpe_clip mm", "pa_mpjpe mm", "acceleration mm"]
    title = f"{recording.name}: {len(recording.cameras)} cameras, bank of {len(model.bank)}.\n\n"
    detail = _reported(args, recording.name, scores, recording.joint_names)
    return title + markdown_table(header, rows) + "\n" + detail


def _rendered(args: argparse.Namespace, folder: Path, model: PoseModel) -> str:
    from backend.evaluation.metrics import LIMB_JOINTS
    from backend.evaluation.rendered import video_scores

    scores = video_scores(folder, model, (Quality.FULL, Quality.HEAVY), args.films)
    counts = sorted(
        Counter(row.method for row in scores).values()
    )  # each network finds the person in videos of its own
    videos = f"{counts[0]} to {counts[-1]}" if counts[0] < counts[-1] else f"{counts[0]}"
    return _reported(args, f"{folder.name}: {videos} rendered videos", scores, LIMB_JOINTS)


def _human36m(args: argparse.Namespace) -> str:
    from backend.datasets.human36m import read_human36m
    from backend.evaluation.human36m import marionet_scores, structnet_scores

    subjects = tuple(args.subjects.split(","))
    takes = read_human36m(args.human36m, subjects)
    if args.structnet:
        scores = list(structnet_scores(takes, args.structnet, args.every))
    else:
        scores = list(marionet_scores(takes, _model(args), args.every))
    return _reported(args, f"Human3.6M {args.subjects}, every {args.every}th frame", scores, H36M_NAMES)


def _reported(args: argparse.Namespace, title: str, scores: Sequence[Scored], joint_names: Sequence[str]) -> str:
    if args.plots:
        args.plots.mkdir(parents=True, exist_ok=True)
        stem = "".join(letter if letter.isalnum() else "_" for letter in title)
        plot_errors(title, scores, joint_names, args.plots / f"{stem}.png")
    return error_tables(title, scores, joint_names)
