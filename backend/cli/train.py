"""`python -m backend train`: train the towers from mocap alone, on simulated landmark sequences.

May import `backend.training`, `backend.datasets`. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from backend.cli.output import Terminal
from backend.datasets import read_library
from backend.errors import DeviceError
from backend.types import Progress

_EXAMPLES = """examples:
  marionet train --mocap mocap/ -o run/ --steps 9000
  marionet train --mocap mocap/ -o run/ --device cuda --batch 2048
  marionet train --mocap mocap/ -o run/ --minutes 20             # the learning rate falls so that it ends in time

A stopped run goes on from its last checkpoint when it is started again with the same folder. The folder then holds
towers.safetensors, losses.csv and losses.png; build a bank for the new towers with `marionet bank build --towers`.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "train",
        help="train the towers from mocap",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mocap", type=Path, required=True, help="folder of .bvh, or .amc with .asf")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for checkpoints, weights and plots")
    parser.add_argument("--steps", type=int, default=9000, help="training steps (default 9000)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end after this time at the latest")
    parser.add_argument("--batch", type=int, default=512, help="windows a step (default 512)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default cpu)")
    parser.add_argument("--workers", type=int, default=1, help="processes that simulate data (default 1)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the training process (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and data (default 0)")
    parser.add_argument("--json", action="store_true", help="report as one JSON event a line")
    parser.add_argument("--quiet", action="store_true", help="report errors only")


def run(args: argparse.Namespace) -> int:
    """Train, export, plot."""
    try:
        import torch
    except ImportError as fault:
        raise DeviceError("training needs PyTorch, which is not installed", "Install the `train` extra") from fault
    from backend.embedding.tower_file import write_towers
    from backend.embedding.towers_torch import TowerSizes
    from backend.training.export import folded_weights
    from backend.training.generator import BatchSource
    from backend.training.losses_plot import plot_losses
    from backend.training.pool import motion_pool
    from backend.training.simulate import SimulationSettings
    from backend.training.trainer import StepReport, TrainerSettings, load_checkpoint, new_state, train

    torch.set_num_threads(args.threads)
    args.output.mkdir(parents=True, exist_ok=True)
    terminal = Terminal(args.json, args.quiet)
    settings = TrainerSettings(
        steps=args.steps, batch=args.batch, seconds=60 * args.minutes, device=args.device, seed=args.seed
    )
    state, checkpoint = new_state(TowerSizes(), settings), args.output / "checkpoint.pt"
    if checkpoint.exists():
        load_checkpoint(state, checkpoint)
        terminal.line(f"going on at step {state.step}")
    begun = state.step
    pool = motion_pool(read_library(args.mocap).training())
    log_file = (args.output / "losses.csv").open("a", newline="")
    writer = csv.writer(log_file)

    def report(now: StepReport) -> None:
        writer.writerow([now.step, now.hinge, now.joints_mm, now.rotation, now.gravity_deg, now.rate])
        log_file.flush()
        left = now.seconds / max(1, now.step - begun) * (settings.steps - now.step)
        terminal.event("step", step=now.step, hinge=now.hinge, joints_mm=now.joints_mm)
        terminal.progress(
            Progress(f"training ({now.joints_mm:.0f} mm)", now.step, settings.steps, min(left, settings.seconds))
        )

    with (
        log_file,
        BatchSource(pool, settings.batch, SimulationSettings(), args.workers, args.seed + begun + 1) as source,
    ):
        train(state, pool, source, settings, checkpoint, report)
    provenance = {"trained": f"{state.step} steps of {settings.batch} simulated windows", "mocap": args.mocap.name}
    weights = folded_weights(state.image_average, state.pose_average, provenance)
    write_towers(weights, args.output / "towers.safetensors")
    plot_losses(args.output / "losses.csv", args.output / "losses.png")
    terminal.line(f"{args.output / 'towers.safetensors'}: pose tower {weights.pose_hash}, step {state.step}")
    return 0
