"""`batch`: many clips to animation files, overnight. May import `backend.batch`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from backend.batch.clip_scheduler import ClipScheduler, Policy
from backend.batch.eta import OVER, Estimate
from backend.batch.executor import Executor
from backend.batch.html_report import RunFacts
from backend.batch.inputs import collect
from backend.batch.local_executor import LocalExecutor, WorkerCounts, choose_worker_counts
from backend.batch.manifest import parse_kinds
from backend.batch.output_lock import open_folder
from backend.batch.planning import check_template, name_clips
from backend.batch.records import FAILED, STOPPED, ClipRecord
from backend.batch.report_writer import PAGE, REPORT, Reporter
from backend.batch.storage import Storage, open_storage
from backend.batch.tasks import AnimateSettings, ClipTask, OutputKind, PlannedClip, RunSettings, SolveSettings
from backend.cli.batch_display import Display
from backend.cli.output import cancel_on_interrupt, private_stdout
from backend.cli.solve import add_camera, add_model
from backend.errors import BadInputError, Cancelled
from backend.files import parse_size
from backend.solving.device import cuda_devices
from backend.solving.request import SolveQuality
from backend.types import CancelToken
from backend.video.sequence import is_sequence
from blender_addon.motion.export_formats import DEFAULT_FORMAT
from blender_addon.motion.looping import Loop
from blender_addon.motion.read_motion_file import MOTION_ENDINGS, is_clip_file
from blender_addon.motion.smoothing import PRESETS
from blender_addon.motion.straight_legs import MOST_DEG

FAILED_EXIT: Final = 1
# an empty Python takes about this much: less is a wrong unit, no bound
_LEAST_MEMORY: Final = 16 << 20
_EXAMPLES: Final = """\
examples:
  marionet batch shoot/ --rig hero.blend --format fbx,bvh -o out
      every video below the folder; out/index.html shows them, out/report.json tells programs
  marionet batch "day1/*.mov" day2.csv --rig hero.blend --format blend,overlay -o out
      a pattern, and a manifest with a line a take: clip, range, person, rig, ...
  marionet batch shoot/ --format clip,bvh,overlay -o out
      without a rig: the motion on a plain armature with the person's own proportions
  marionet batch shoot/ --takes --rig hero.blend --format fbx -o out
      each folder below with two videos or more is one take of several cameras
  marionet batch mocap/*.bvh amass.npz hmr4d_results.pt --rig hero.blend --format fbx -o out
      motion of other tools: BVH, SMPL and SMPL-X, MHR
  marionet batch shoot/ --rig hero.blend --format fbx -o s3://studio/out --ray head:6379
      on a Ray cluster, results to shared storage

The same command again does only what is missing or changed. Ctrl-C lets the clips that have begun finish; again, it
stops at once, and the next run goes on. The exit code is 1 when a clip failed.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "batch",
        help="convert folders of clips to animation files",
        description="Convert many clips to animation files, on one machine or many (see docs/how_to/batch.md).",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "clips",
        nargs="+",
        metavar="CLIPS",
        help="videos, .npz clips, motion files, folders, patterns, manifests (.csv, .json)",
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="folder for the results, or an fsspec URL")
    _add_outputs(parser.add_argument_group("outputs"))
    _add_source(parser.add_argument_group("clips (a manifest's cells come first)"))
    add_camera(parser.add_argument_group("camera"))
    _add_takes(parser.add_argument_group("several cameras"))
    _add_rig(parser.add_argument_group("rig"))
    _add_work(parser.add_argument_group("work"))


def run(args: argparse.Namespace) -> int:
    """Convert; 0 when every clip is there, 1 when one failed, 130 when stopped."""
    check_template(args.name or "")
    if args.ray is not None and not args.ray.strip():
        raise BadInputError("--ray is empty", "Give the cluster's address, auto, or local")
    settings = run_settings(args)
    orders = collect(args.clips, _template(args), args.output, args.takes)
    _check_used(args, orders)
    clips = name_clips(orders, args.name or "")
    storage = open_storage(args.output)
    with private_stdout(), open_folder(storage), cancel_on_interrupt() as stop:
        display = Display(args.json, args.quiet, Estimate(_weights(clips)))
        with redirect_stdout(sys.stderr):  # Ray tells of dead workers there, at any time until it is closed
            executor = _executor(args, settings)
            try:
                return _convert(args, clips, storage, executor, stop, display)
            finally:
                executor.close()


def _check_used(args: argparse.Namespace, orders: Sequence[ClipTask]) -> None:
    """Raise BadInputError for an option that none of the clips would use."""
    sources = [Path(order.source) for order in orders if order.trouble is None]
    if args.fps is not None and sources and not any(_takes_rate(path) for path in sources):
        raise BadInputError(
            "--fps is for image sequences and motion files without a rate, and there is none among the clips",
            "Leave it out: videos have their own",
        )
    takes = any(order.is_take for order in orders)
    if (args.setup or args.save_setup) and orders and not takes:
        flag = "--setup" if args.setup else "--save-setup"
        raise BadInputError(
            f"{flag} is for takes of several cameras, and there is none", "Give --takes, or videos in a manifest"
        )
    if args.armature and not any(order.animate.rig for order in orders):
        raise BadInputError(f"--armature {args.armature} names an armature of no file", "Give --rig FILE too")
    if args.rig and not any(order.needs_blender for order in orders):
        raise BadInputError(f"--rig is not used by --format {args.format}", "Add a format such as fbx, or leave it out")


def _takes_rate(path: Path) -> bool:
    motion = path.suffix.lower() in MOTION_ENDINGS and path.is_file()
    return is_sequence(path) or not path.exists() or (motion and not (path.suffix == ".npz" and is_clip_file(path)))


def run_settings(args: argparse.Namespace) -> RunSettings:
    """What every worker is told. Raises BadInputError for values that cannot be."""
    for name, least in (
        ("restart_blender", 1),
        ("stall", 0.01),
        ("solvers", 0),
        ("blenders", 0),
        ("preview_workers", 0),
    ):
        if getattr(args, name) < least:
            raise BadInputError(f"--{name.replace('_', '-')} is {getattr(args, name)}", f"It is at least {least}")
    memory = parse_size(args.memory) if args.memory else 0
    if 0 < memory < _LEAST_MEMORY:
        raise BadInputError(f"--memory {args.memory} is less than any worker needs", "Check the unit: 6G, for example")
    out = args.output if "://" in args.output else str(Path(args.output).absolute())
    return RunSettings(
        out=out,
        device=args.device,
        blender=args.blender or "",
        restart_after=args.restart_blender,
        stall_s=60.0 * args.stall,
        memory_bytes=memory,
    )


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--format",
        default=DEFAULT_FORMAT,
        metavar="LIST",
        help=f"{', '.join(kind.value for kind in OutputKind)}, or all",
    )
    group.add_argument("--name", metavar="TEMPLATE", help="names below OUT, as {folder}/{clip}/{clip} (the default)")
    group.add_argument("--overwrite", action="store_true", help="overwrite files that a batch did not create")
    group.add_argument("--redo", action="store_true", help="convert finished clips again")


def _add_source(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--range", default="", metavar="START:END", help="frames (100:250), seconds (2.5s:8s) or clock")
    add("--fps", type=float, metavar="N", help="frame rate of image sequences, and of motion files that state none")
    add("--slow-motion", type=float, default=1.0, metavar="N", help="the video plays N times slower than real time")
    add(
        "--person",
        default="largest",
        metavar="WHO",
        help="largest (default), longest, moving, all, a number, X,Y@FRAME",
    )
    add("--max-people", type=int, default=4, metavar="N", help="maximum number of people tracked at once (default 4)")
    add("--height", type=float, metavar="M", help="the person's height in metres (default: 1.70 assumed)")
    qualities = [quality.value for quality in SolveQuality]
    add("--hands", action="store_true", help="solve the fingers too")
    add("--face", action="store_true", help="solve the face too")
    add("--quality", choices=qualities, default=SolveQuality.BEST.value, help="trade-off between speed and accuracy")


def _add_takes(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--takes", action="store_true", help="the videos that lie together in a folder are one take, solved together")
    add("--setup", type=Path, metavar="JSON", help="cameras of an earlier take, for all takes of the run")
    add("--save-setup", action="store_true", help="keep each take's cameras: as setup in --format")


def _add_rig(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--rig", default="", metavar="FILE", help=".blend, .fbx or .glb with a humanoid (default: a plain armature)")
    add("--armature", default="", metavar="NAME", help="the armature object (default: the one with the most bones)")
    add("--smooth", choices=list(PRESETS), default="light", help="smoothing preset for the rig (default light)")
    add("--ground", action="store_true", help="move feet in contact onto the floor")
    add("--straighten", type=float, default=0.0, metavar="DEG", help="reduce knee flexion by up to DEG (0 to 40)")
    add("--mirror", action="store_true", help="exchange left and right")
    loops = [loop.value for loop in Loop]
    add("--loop", nargs="?", choices=loops, const="find", default="off", help="a cycle: find (the best) or range (all)")
    add("--in-place", action="store_true", help="remove horizontal root motion")
    add("--rate", default="source", metavar="FPS", help="source (default), rig (the file's scene), or frames a second")


def _add_work(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--blender", metavar="PATH", help="a Blender, or a Python with bpy (default: found)")
    add("--restart-blender", type=int, default=20, metavar="N", help="restart Blender after N clips (default 20)")
    add("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, directml ...")
    add_model(group)
    add("--solvers", type=int, default=0, metavar="N", help="solver processes (default: depends on the machine)")
    add("--blenders", type=int, default=0, metavar="N", help="Blender processes")
    add(
        "--preview-workers",
        "--lookers",
        dest="preview_workers",
        type=int,
        default=0,
        metavar="N",
        help="processes that draw overlays and sheets",
    )
    add("--memory", metavar="SIZE", help="memory of one worker with its Blender; a clip that needs more fails")
    add(
        "--stall",
        type=float,
        default=15.0,
        metavar="MIN",
        help="time limit in minutes for a worker that does not respond (default 15)",
    )
    add("--ray", metavar="ADDRESS", help="run on this Ray cluster (host:6379, auto, or local)")
    add("--json", action="store_true", help="events as JSON lines on standard output")
    add("--quiet", action="store_true", help="no progress")


def _template(args: argparse.Namespace) -> ClipTask:
    rate = args.rate
    if rate not in ("source", "rig"):
        try:
            positive = float(rate) > 0
        except ValueError:
            positive = False
        if not positive:
            raise BadInputError(
                f"--rate {rate!r} is not a frame rate", "Give source, rig, or frames a second such as 24"
            )
    if not 0.0 <= args.straighten <= MOST_DEG:
        raise BadInputError(f"--straighten is {args.straighten:g}", f"Give degrees from 0 to {MOST_DEG:g}")
    return ClipTask(
        source="",
        kinds=parse_kinds(f"{args.format},setup" if args.save_setup and args.format != "all" else args.format),
        solve=SolveSettings(
            range=args.range,
            person=args.person,
            max_people=args.max_people,
            height_m=args.height,
            fov_deg=args.fov,
            focal_px=args.focal_px,
            calibration=str(args.calibration.absolute()) if args.calibration else "",
            camera=args.camera or "",
            gravity=args.gravity or "",
            quality=args.quality,
            hands=args.hands,
            face=args.face,
            slow_motion=args.slow_motion,
            fps=args.fps,
            towers=str(args.towers.absolute()) if args.towers else "",
            bank=str(args.bank.absolute()) if args.bank else "",
            setup=str(args.setup.absolute()) if args.setup else "",
        ),
        animate=AnimateSettings(
            rig=str(Path(args.rig).expanduser().absolute()) if args.rig else "",
            armature=args.armature,
            smooth=args.smooth,
            ground=args.ground,
            in_place=args.in_place,
            straighten_deg=args.straighten,
            loop=args.loop,
            mirror=args.mirror,
            rate=rate,
        ),
    )


def _executor(args: argparse.Namespace, settings: RunSettings) -> Executor:
    if args.ray:
        from backend.batch.ray_executor import RayExecutor

        return RayExecutor(settings, args.ray)
    found = choose_worker_counts(cuda_devices() if args.device != "cpu" else 0)
    workers = WorkerCounts(
        args.solvers or found.solvers, args.blenders or found.blenders, args.preview_workers or found.preview_workers
    )
    return LocalExecutor(settings, workers)


def _convert(
    args: argparse.Namespace,
    clips: list[PlannedClip],
    storage: Storage,
    executor: Executor,
    stop: CancelToken,
    display: Display,
) -> int:
    policy = Policy(args.overwrite, args.redo, args.blender or "", check_blender=not args.ray)
    scheduler = ClipScheduler(clips, storage, executor, policy)
    reporter = Reporter(storage)
    began = time.monotonic()

    def facts(finished: bool) -> RunFacts:
        title = f"Batch conversion: {Path(args.output).name or args.output}"
        return RunFacts(title, _version(), time.monotonic() - began, finished)

    def listen(now: ClipScheduler) -> None:
        display.show(now, stopping=stop.cancelled)
        reporter.now_and_then(now.records.values(), facts(finished=False))

    try:
        scheduler.run(stop, listen)
    except KeyboardInterrupt:
        reporter.write(scheduler.records.values(), facts(finished=True))
        display.end(scheduler, storage.address(PAGE), storage.address(REPORT))
        return Cancelled.exit_code
    reporter.write(scheduler.records.values(), facts(finished=True))
    display.end(scheduler, storage.address(PAGE), storage.address(REPORT))
    if reporter.trouble is not None:
        raise reporter.trouble
    return _exit_code(list(scheduler.records.values()))


def _exit_code(records: list[ClipRecord]) -> int:
    if any(record.status == STOPPED or record.status not in OVER for record in records):
        return Cancelled.exit_code
    return FAILED_EXIT if any(record.status == FAILED for record in records) else 0


def _weights(clips: list[PlannedClip]) -> dict[str, float]:
    """What each clip's work may be worth: the bytes of its source."""
    weights = {}
    for clip in clips:
        try:
            weights[clip.base] = float(sum(Path(video).stat().st_size for video in clip.order.files))
        except OSError:
            weights[clip.base] = 1.0
    return weights


def _version() -> str:
    try:
        return version("marionet")
    except PackageNotFoundError:
        return "(checkout)"
