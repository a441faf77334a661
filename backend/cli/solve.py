"""`solve`: a video into a motion clip, with overlay, sheet and plot on request. May import the backend's rooms."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from backend.camera import CameraOptions
from backend.cli.output import Terminal, cancel_on_interrupt, clock_text
from backend.cli.solve_take import add_take, chunk_events, refuse_take_options, report_end, run_take
from backend.embedding.model_files import ModelFiles
from backend.errors import BadInputError, Cancelled
from backend.pipeline import SolveRequest, SolveResult, solve
from backend.solving.option_parsing import RequestOptions, request_from_options
from backend.solving.outputs import check_apart, check_ending, check_writable
from backend.solving.request import SolveQuality
from backend.types import CancelToken
from backend.video import open_video
from blender_addon.motion.smoothing import PRESETS

VIDEOS, SHEETS, PLOTS = (".mp4",), (".png", ".jpg", ".jpeg"), (".png", ".svg", ".pdf")
_EXAMPLES = """\
examples:
  marionet solve dance.mp4 -o dance.npz
      the largest person, best quality; add --overlay check.mp4 --sheet check.png to look at the result
  marionet solve fight.mp4 -o fight.npz --person all
      everyone: fight.0.npz, fight.1.npz, ...; `marionet tracks fight.mp4 --sheet who.png` shows who is who
  marionet solve take.mov -o take.npz --range 2.5s:8s --height 1.82 --fov 69 --smooth medium
      a part of the video, the actor's height, the lens of a phone's main camera, calmed
  marionet solve talk.mp4 -o talk.npz --hands --face
      with fingers and expression
  marionet solve shot_####.png -o shot.npz --fps 24
      an image sequence
  marionet solve long.mp4 -o long.npz --resume
      go on where an interrupted run stopped
  marionet solve left.mp4 right.mp4 -o take.npz --save-setup room.json
      two phones, one performance: clocks and cameras are found; --setup room.json for the next take
  marionet solve body.mp4 --close-up face.mp4 -o take.npz
      expression from a second camera that shows the face alone
  marionet solve dance.mp4 -o dance.npz --bank bank1m.safetensors
      with a larger bank; --towers trained/towers.safetensors with towers of your own

Ctrl-C ends the watching and writes a clip of the frames done; --resume goes on later.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "solve",
        help="turn a video into a motion clip",
        description="Turn a video of a person into a motion clip (see docs/clip_format.md).",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "video",
        type=Path,
        nargs="+",
        help="video file, folder of images, or pattern such as shot_####.png; several videos: one performance",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CLIP", help="the clip to write, name.npz")
    add_source(parser.add_argument_group("video"))
    _add_person(parser.add_argument_group("person"))
    add_camera(parser.add_argument_group("camera"))
    add_take(parser.add_argument_group("several cameras"))
    _add_work(parser.add_argument_group("work"))
    _add_looking(parser.add_argument_group("looking"))


def add_source(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """The options that say how the video is read."""
    group.add_argument("--range", type=str, metavar="START:END", help="frames (100:250), seconds (2.5s:8s) or clock")
    group.add_argument("--fps", type=float, metavar="N", help="frame rate of an image sequence in fps (default 24)")
    group.add_argument(
        "--slow-motion", type=float, default=1.0, metavar="N", help="the video plays N times slower than real time"
    )


def add_camera(group: argparse._ArgumentGroup) -> None:
    """The options that say what the camera is."""
    group.add_argument("--fov", type=float, metavar="DEG", help="field of view over the longer side, 5 to 150")
    group.add_argument("--focal-px", type=float, metavar="PX", help="focal length in pixels")
    group.add_argument("--calibration", type=Path, metavar="FILE", help="JSON with K, pose2sim .toml, OpenCV .yml")
    group.add_argument("--camera", metavar="NAME", help="which camera of the calibration file")
    group.add_argument("--gravity", metavar="X,Y,Z", help="direction down in the camera (x right, y down, z forward)")


def add_model(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """The options that name other towers and another bank than the shipped ones."""
    group.add_argument("--towers", type=Path, metavar="FILE", help="use only these towers (written by `train`)")
    group.add_argument("--bank", type=Path, metavar="PATH", help="use this bank (file or folder) of the same towers")


def camera_options(args: argparse.Namespace) -> CameraOptions:
    """The camera that the options describe."""
    return CameraOptions(args.focal_px, args.fov, args.calibration, args.camera)


def check_images(video: Path, wanted: Sequence[tuple[Path | None, Sequence[str]]], *others: Path) -> None:
    """Raise OutputError for images and videos to look at that could not be written, or would replace something."""
    named = [(path, endings) for path, endings in wanted if path is not None]
    for path, endings in named:
        check_ending(path, endings)
        check_writable(path)
    check_apart(video, [*others, *(path for path, _ in named)])


def run(args: argparse.Namespace) -> int:
    """Solve, write, and look. Returns 0, or 130 when stopped early with a clip of what was done."""
    if args.no_preview and not args.json:
        raise BadInputError("--no-preview leaves out events of --json, which is not given", "Leave it out")
    if len(args.video) == 1:
        refuse_take_options(args)
    if len(args.video) > 1 or args.close_up:
        return run_take(args, [_request(args, video) for video in args.video])
    (args.video,) = args.video
    request = _request(args, args.video)
    check_images(args.video, ((args.overlay, VIDEOS), (args.sheet, SHEETS), (args.plot, PLOTS)), args.output)
    terminal = Terminal(as_json=args.json, quiet=args.quiet)
    began = time.monotonic()
    with cancel_on_interrupt() as cancel:
        on_chunk = chunk_events(terminal) if args.json and not args.no_preview else None
        result = solve(request, terminal.progress, cancel, on_chunk)
        _report(terminal, request, result, time.monotonic() - began)
        if result.cancelled:
            return Cancelled.exit_code
        _look(args, request, result, terminal, cancel)
    return 0


def _add_person(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--person",
        default="largest",
        metavar="WHO",
        help="largest (default), longest, moving, all, a number from `tracks`, or X,Y@FRAME",
    )
    group.add_argument(
        "--max-people", type=int, default=4, metavar="N", help="maximum number of people tracked at once (default 4)"
    )
    group.add_argument(
        "--height", type=float, metavar="M", help="the person's height in metres (default: 1.70 assumed)"
    )


def _add_work(group: argparse._ArgumentGroup) -> None:
    qualities = [quality.value for quality in SolveQuality]
    group.add_argument(
        "--quality", choices=qualities, default=SolveQuality.BEST.value, help="trade-off between speed and accuracy"
    )
    group.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, directml ...")
    add_model(group)
    group.add_argument("--hands", action="store_true", help="solve the fingers too; needs hands of 40 px and more")
    group.add_argument("--face", action="store_true", help="solve the face too; needs a face of 80 px and more")
    group.add_argument("--smooth", choices=list(PRESETS), default="off", help="smoothing preset (default off: raw)")
    group.add_argument("--resume", action="store_true", help="resume an interrupted run of this solve")
    group.add_argument("--json", action="store_true", help="events as JSON lines on standard output")
    group.add_argument("--no-preview", action="store_true", help="no preview events with --json: they take time")
    group.add_argument("--quiet", action="store_true", help="no progress")


def _add_looking(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--overlay", type=Path, metavar="MP4", help="video with keypoints and skeleton drawn over it")
    group.add_argument("--sheet", type=Path, metavar="PNG", help="contact sheet of solved frames")
    group.add_argument("--plot", type=Path, metavar="PNG", help="confidence, height, foot speed, jitter over time")


def _request(args: argparse.Namespace, video: Path) -> SolveRequest:
    options = RequestOptions(
        range=args.range,
        person=args.person,
        max_people=args.max_people,
        height_m=args.height,
        camera=camera_options(args),
        gravity=args.gravity,
        quality=args.quality,
        model=ModelFiles(args.towers, args.bank),
        smoothing=args.smooth,
        hands=args.hands,
        face=args.face,
        slow_motion=args.slow_motion,
        sequence_fps=args.fps,
    )
    return request_from_options(video, args.output, options, args.device, args.resume)


def _report(terminal: Terminal, request: SolveRequest, result: SolveResult, took_s: float) -> None:
    for warning in result.warnings:
        terminal.warn(warning.text, warning.code)
    seen = [int((clip.confidence > 0).sum()) for clip in result.clips]
    for path, count in zip(result.files, seen, strict=True):
        terminal.line(f"wrote {path}   {count} of {result.frames} frames with a pose")
    terminal.line(f"camera: {result.clips[0].header.intrinsics_source}")
    for name, value in result.figures.items():
        terminal.line(f"  {name:<28} {value:.4g}")
    rate = result.frames / max(took_s, 1e-6)
    terminal.line(f"{clock_text(took_s)} for {result.frames} frames: {rate:.1f} frames/s on {result.device}")
    report_end(terminal, result, took_s)


def _look(
    args: argparse.Namespace, request: SolveRequest, result: SolveResult, terminal: Terminal, cancel: CancelToken
) -> None:
    if not (args.overlay or args.sheet or args.plot):
        return
    # matplotlib and the encoder are only loaded when something is to be drawn
    from backend.visualization import write_overlay, write_plot, write_sheet

    made: list[Path] = []
    if args.plot:
        write_plot(result.clips, args.plot)
        made.append(args.plot)
    if args.sheet:
        write_sheet(open_video(request.video, request.video_options), result.clips, args.sheet)
        made.append(args.sheet)
    if args.overlay:
        reader = open_video(request.video, request.video_options)
        write_overlay(reader, result.clips, args.overlay, terminal.progress, cancel)
        made.append(args.overlay)
    _tell_images(terminal, made)


def _tell_images(terminal: Terminal, made: Sequence[Path]) -> None:
    for path in made:
        terminal.line(f"wrote {path}")
        terminal.event("picture", file=str(path))
