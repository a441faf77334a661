"""`python -m backend train`: train the towers from mocap alone, on simulated landmark sequences.

May import `backend.training`, `backend.datasets`. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.cli.output import Terminal
from backend.errors import BadInputError, DeviceError
from backend.types import Progress

_EXAMPLES = """examples:
  marionet train --mocap mocap/ -o run/ --steps 9000
  marionet train --mocap mocap/ -o run/ --device cuda --batch 2048
  marionet train --mocap mocap/ -o run/ --minutes 20             # the learning rate falls so that it ends in time
  marionet train --mocap mocap/ -o tuned/ --renders renders/ --noise noise.json --start run/checkpoint.pt
  marionet train --mocap mocap/ -o more/ --start towers.safetensors --keep-pose-tower --rate 3e-4
  torchrun --nproc-per-node 2 -m backend train --mocap mocap/ -o run/ --device cuda
  marionet train --configuration structnet --renders renders/ --test-renders held_out/ -o paper/

A stopped run goes on from its last checkpoint when it is started again with the same folder. The folder then holds
towers.safetensors, losses.csv, losses.png and TensorBoard events; build a bank for the new towers with
`marionet bank build --towers`.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "train",
        help="train the towers from mocap",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--configuration", choices=("marionet", "structnet"), default="marionet", help="structnet: the paper's network"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for checkpoints, weights and plots")
    _add_data(parser.add_argument_group("data", "what the towers are trained on"))
    _add_towers(parser.add_argument_group("towers", "what is trained, and what it begins with"))
    _add_schedule(parser.add_argument_group("run", "how long, and on what"))
    _add_structnet(parser.add_argument_group("structnet", "the paper's own network, on renders"))
    parser.add_argument("--json", action="store_true", help="report as one JSON event a line")
    parser.add_argument("--quiet", action="store_true", help="report errors only")


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--mocap", type=Path, help="folder of .bvh, or .amc with .asf")
    group.add_argument(
        "--renders", type=Path, action="append", default=[], help="folder written by `synthesize`; may be repeated"
    )
    group.add_argument(
        "--renders-share", type=float, default=0.25, help="share of each batch that is from renders (default 0.25)"
    )
    group.add_argument("--noise", type=Path, help="landmark error model that tools/fit_noise.py wrote")
    group.add_argument(
        "--exact-keypoints",
        action="store_true",
        help="simulate keypoints without errors and no 3D guess: what limits a tower, not what it does on video",
    )
    group.add_argument(
        "--as-in-video",
        action="store_true",
        help="also simulate lenses of 18 to 85 mm, cropped, seated, kneeling and lying people, steeper cameras",
    )


def _add_towers(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--image-tower",
        choices=("folding", "temporal"),
        default="folding",
        help="folding: 27 frames over 0.9 s; temporal: 51 frames over 5.7 s",
    )
    group.add_argument("--start", type=Path, help="checkpoint of another run, or towers.safetensors, to begin with")
    group.add_argument(
        "--keep-pose-tower",
        action="store_true",
        help="train the image tower only, so that banks of the towers to start with stay valid",
    )
    group.add_argument(
        "--pose-tower",
        type=Path,
        metavar="TOWERS",
        help="towers file whose pose tower is kept, so that its banks stay valid; the image tower is trained beside it",
    )
    group.add_argument(
        "--only-embedding",
        action="store_true",
        help="train the layers of the image tower's embedding alone; its joints, rotations and the rest stay",
    )
    group.add_argument(
        "--margin-rows", type=int, help="windows of a batch that take part in the margin loss (default all)"
    )
    group.add_argument("--soft", type=float, default=5.0, help="weight of soft retrieval, 0 for none (default 5)")


def _add_schedule(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--steps", type=int, default=9000, help="training steps (default 9000)")
    group.add_argument("--batch", type=int, default=512, help="windows a step and process (default 512)")
    group.add_argument("--rate", type=float, default=1e-3, help="maximum learning rate (default 1e-3)")
    group.add_argument("--minutes", type=float, default=float("inf"), help="maximum training time in minutes")
    group.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default cpu)")
    group.add_argument("--workers", type=int, default=1, help="processes that simulate data (default 1)")
    group.add_argument("--threads", type=int, default=1, help="threads of the training process (default 1)")
    group.add_argument("--checkpoint-steps", type=int, default=250, help="steps between checkpoints (default 250)")
    group.add_argument("--report-steps", type=int, default=50, help="steps between reports (default 50)")
    group.add_argument("--seed", type=int, default=0, help="seed of weights and data (default 0)")


def _add_structnet(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--test-renders", type=Path, help="renders of other subjects to measure on")
    group.add_argument("--ablations", action="store_true", help="also one pose layer, raw pose, no auxiliary task")
    group.add_argument("--pictures", type=int, help="maximum number of images from each folder")
    group.add_argument(
        "--convolution-steps", type=int, default=2000, help="steps that train the convolutions (default 2000)"
    )
    group.add_argument(
        "--candidates", type=int, default=2000, help="poses that compete in a step (default 2000, as the paper)"
    )
    group.add_argument(
        "--stepping",
        choices=("line-search", "adam"),
        default="line-search",
        help="how steps are made (default as the paper)",
    )


def run(args: argparse.Namespace) -> int:
    """Train, export, plot."""
    try:
        import torch
    except ImportError as fault:
        raise DeviceError("training needs PyTorch, which is not installed", "Install the `train` extra") from fault
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(f"--device {args.device}: PyTorch finds no CUDA device", "Train on the CPU, or see `doctor`")
    return _run_structnet(args) if args.configuration == "structnet" else _run_marionet(args)


def _run_structnet(args: argparse.Namespace) -> int:
    from backend.training.run import use_threads
    from backend.training.structnet_run import StructNetRequest, results_table, run_structnet
    from backend.training.structnet_training import Stepping, StructNetSettings

    use_threads(args.threads)
    settings = StructNetSettings(
        batch=args.batch,
        candidates=args.candidates,
        stepping=Stepping(args.stepping),
        seed=args.seed,
        device=args.device,
    )
    request = StructNetRequest(
        tuple(args.renders),
        args.output,
        args.test_renders,
        settings,
        args.convolution_steps,
        args.steps,
        args.ablations,
        args.pictures,
    )
    terminal = Terminal(args.json, args.quiet)

    def report(stage: str, done: int, total: int, loss: float) -> None:
        terminal.event("step", stage=stage, step=done, loss=loss)
        terminal.progress(Progress(f"{stage} ({loss:.3g})", done, total, None))

    results = run_structnet(request, report)
    terminal.line(results_table(results))
    return 0


def _run_marionet(args: argparse.Namespace) -> int:
    from backend.embedding.temporal_tower import TemporalSizes
    from backend.embedding.towers_torch import TowerSizes
    from backend.training.run import TOWERS_FILE, TrainRequest, run_training, use_threads
    from backend.training.trainer import StepReport, TrainerSettings

    if args.mocap is None:
        raise BadInputError("training needs motion capture", "Give --mocap FOLDER")
    if not 0 < args.rate < 1:
        raise BadInputError(f"--rate {args.rate} is not between 0 and 1", "Fine-tune with about 3e-4, begin with 1e-3")
    if args.checkpoint_steps < 1 or args.report_steps < 1:
        raise BadInputError("--checkpoint-steps and --report-steps must be at least 1")
    terminal = Terminal(args.json, args.quiet)
    settings = TrainerSettings(
        steps=args.steps,
        batch=args.batch,
        rate=args.rate,
        seconds=60 * args.minutes,
        device=args.device,
        seed=args.seed,
        margin_rows=args.margin_rows,
        soft=args.soft,
    )
    request = TrainRequest(
        args.mocap,
        args.output,
        settings,
        TemporalSizes() if args.image_tower == "temporal" else TowerSizes(),
        exact_keypoints=args.exact_keypoints,
        as_in_video=args.as_in_video,
        renders=tuple(args.renders),
        renders_share=args.renders_share,
        noise=args.noise,
        start=args.start,
        keep_pose_tower=args.keep_pose_tower,
        pose_tower=args.pose_tower,
        only_embedding=args.only_embedding,
        workers=args.workers,
        checkpoint_steps=args.checkpoint_steps,
        report_steps=args.report_steps,
    )

    def report(now: StepReport, begun: int) -> None:
        left = now.seconds / max(1, now.step - begun) * (settings.steps - now.step)
        terminal.event("step", step=now.step, hinge=now.hinge, joints_mm=now.joints_mm)
        terminal.progress(
            Progress(f"training ({now.joints_mm:.0f} mm)", now.step, settings.steps, min(left, settings.seconds))
        )

    use_threads(args.threads)
    done = run_training(request, report, terminal.line)
    if done.written:
        terminal.line(f"{args.output / TOWERS_FILE}: pose tower {done.weights.pose_hash}, step {done.step}")
    return 0
