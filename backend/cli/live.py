"""`live`: a camera or a stream solved while it runs, sent to other programs and recorded. May import the backend."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from backend.camera import CameraOptions
from backend.cli.output import Terminal, cancel_on_interrupt
from backend.cli.solve import add_model
from backend.embedding.model_files import ModelFiles
from backend.errors import BadInputError, NoPersonError, VideoError
from backend.files import whole_file
from backend.live.addresses import parse_source
from backend.live.calibration import CalibrationSettings
from backend.live.cameras import ImageSettings, list_cameras
from backend.live.control import LiveControl
from backend.live.request import LivePose, LiveRequest, LiveResult
from backend.live.session import run_live
from backend.live.vmc import DEFAULT_PORT, VmcSender, parse_target
from backend.pipeline import SolveRequest, solve
from backend.solving.models import load_models
from backend.solving.option_parsing import parse_direction
from backend.solving.outputs import check_ending, check_output, check_writable
from backend.solving.request import SolveQuality
from backend.types import CancelToken

_RECORDINGS = (".mkv",)
_EXAMPLES = """\
examples:
  marionet live --list
      the cameras of this machine
  marionet live --source "camera:HD Webcam" --vmc 127.0.0.1:39539
      drive an avatar in a program that receives VMC
  marionet live --source http://192.168.1.20:8080/video --record take.mkv
      a phone with a camera app; Ctrl-C stops, then take.npz is written at once and solved anew from take.mkv
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "live",
        help="solve a camera or a stream while it runs",
        description="Solve a camera or a stream frame by frame (see docs/how_to/live.md). Ctrl-C stops.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--list", action="store_true", help="list the cameras and stop")
    add("--source", metavar="SOURCE", help="camera:NAME, a camera's number, or a URL: rtsp, http, https, srt, udp")
    add("--size", metavar="WxH", help="image size to ask a camera for, for example 640x480")
    add("--fps", type=float, metavar="N", help="frame rate to ask a camera for")
    add("--vmc", metavar="HOST:PORT", help=f"send VMC over OSC (port {DEFAULT_PORT} where none is given)")
    add("--record", type=Path, metavar="FILE.mkv", help="record the video; the clip is written beside it as FILE.npz")
    add("--no-solve", action="store_true", help="keep the live clip, do not solve the recording afterwards")
    add("--hands", action="store_true", help="solve the fingers too when the recording is solved")
    add("--face", action="store_true", help="solve the face too when the recording is solved")
    add("--seconds", type=float, metavar="S", help="stop after so long")
    add("--height", type=float, metavar="M", help="body height in metres (1.70 is assumed)")
    add("--fov", type=float, metavar="DEG", help="field of view over the longer side, 5 to 150")
    add("--gravity", metavar="X,Y,Z", help="direction down in the camera (x right, y down, z forward)")
    add("--stall", type=float, default=3.0, metavar="S", help="open a source again after so long without images")
    add("--quality", choices=[q.value for q in SolveQuality], default="fast", help="of the live poses (default fast)")
    add("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda")
    add_model(parser)
    add("--json", action="store_true", help="events as JSON lines on standard output")


def run(args: argparse.Namespace) -> int:
    """Capture until stopped. Raises VideoError, BadInputError, OutputError."""
    terminal = Terminal(as_json=args.json)
    if args.list:
        return _list(terminal)
    if args.source is None:
        raise BadInputError("--source is missing", "Name one: marionet live --list shows the cameras")
    if args.record is None and (args.hands or args.face):
        raise BadInputError("--hands and --face need a recording, and there is none", "Add --record FILE.mkv")
    if args.record is not None:
        check_ending(args.record, _RECORDINGS)
        check_writable(args.record)
        check_output(args.record.with_suffix(".npz"))
    sender = VmcSender(parse_target(args.vmc)) if args.vmc else None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="marionet-live-")))
        if args.record is not None:
            folder = args.record.with_name(f"{args.record.name}.live")
            folder.mkdir(exist_ok=True)
        request = _request(args, folder)
        files = ModelFiles(args.towers, args.bank)
        models = load_models(request.quality, args.device, files)
        cancel = stack.enter_context(cancel_on_interrupt())
        report = _Report(terminal, sender, args.seconds, cancel)
        result = run_live(request, models, report.pose, LiveControl(cancel))
    for warning in result.warnings:
        terminal.warn(warning)
    counts = f"{result.poses} poses of {result.captured} images, {result.dropped} dropped"
    terminal.line(counts)
    terminal.event("stopped", poses=result.poses, captured=result.captured, dropped=result.dropped)
    if args.record is not None:
        _finish(args, request, result, terminal)
    return 0


def _list(terminal: Terminal) -> int:
    cameras = list_cameras()
    for number, camera in enumerate(cameras):
        terminal.line(f"{number}  camera:{camera.name}  ({camera.device})")
        terminal.event("camera", number=number, name=camera.name, device=camera.device)
    if not cameras:
        terminal.line("No camera is connected, or the system shows none to this program")
    return 0


def _request(args: argparse.Namespace, folder: Path) -> LiveRequest:
    size: tuple[int | None, int | None] = (None, None)
    if args.size:
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", args.size)
        if found is None:
            raise BadInputError(f"--size {args.size!r} is no image size", "Write it as 640x480")
        size = int(found[1]), int(found[2])
    gravity = parse_direction(args.gravity) if args.gravity else None
    return LiveRequest(
        source=parse_source(args.source),
        folder=folder,
        record=args.record is not None,
        recording=args.record,
        image=ImageSettings(*size, args.fps),
        quality=SolveQuality(args.quality),
        height_m=args.height,
        camera=CameraOptions(fov_deg=args.fov),
        calibration=CalibrationSettings(gravity_camera=gravity),
        stall_s=args.stall,
    )


class _Report:
    """Shows how the capture stands: one line on a terminal, an event a second, and words when they change."""

    def __init__(
        self, terminal: Terminal, sender: VmcSender | None, seconds: float | None, cancel: CancelToken
    ) -> None:
        self._terminal, self._sender, self._cancel = terminal, sender, cancel
        self._until_s = time.monotonic() + seconds if seconds else float("inf")
        self._shown_s, self._said = 0.0, ("", "")

    def pose(self, pose: LivePose) -> None:
        """Take the newest pose."""
        if self._sender is not None:
            self._sender.send(pose)
        now_s = time.monotonic()
        if now_s >= self._until_s:
            self._cancel.cancel()
        said = pose.state.value, re.sub(r"\d+ s$", "", pose.words)
        if now_s - self._shown_s < 1.0 and said == self._said:
            return
        rates = pose.rates
        if said != self._said and not sys.stderr.isatty():
            words = f": {pose.words}" if pose.words else ""
            self._terminal.line(f"{pose.state.value.replace('_', ' ')}{words}")
        elif sys.stderr.isatty():
            text = f"{rates.fps:4.1f} poses/s of {rates.source_fps:.1f}, latency {rates.latency_s * 1000:.0f} ms"
            self._terminal.status(f"{pose.state.value.replace('_', ' '):<11} {text}  {pose.words}")
        self._shown_s, self._said = now_s, said
        self._terminal.event(
            "live",
            state=pose.state.value,
            message=pose.words,
            fps=round(rates.fps, 1),
            source_fps=round(rates.source_fps, 1),
            latency_ms=round(rates.latency_s * 1000, 1),
            dropped=rates.dropped,
            recorded=max(pose.recorded_frames, 0),
        )


def _finish(args: argparse.Namespace, request: LiveRequest, result: LiveResult, terminal: Terminal) -> None:
    """The clip beside the recording at once; then the full solve takes its place."""
    output = args.record.with_suffix(".npz")
    if result.clip is not None:
        with whole_file(output) as temporary:
            temporary.write_bytes(result.clip.read_bytes())
    for file in request.folder.iterdir():
        file.unlink()
    request.folder.rmdir()
    for path in result.recordings:
        terminal.line(f"wrote {path}: {result.recorded} images")
    if result.clip is None:
        terminal.warn("nobody was seen, so there is no clip")
        return
    terminal.line(f"wrote {output}: the live poses")
    terminal.event("clip", file=str(output), live=True)
    if args.no_solve or not result.recordings:
        return
    _solve_recordings(args, request, result, output, terminal)


def _solve_recordings(
    args: argparse.Namespace, request: LiveRequest, result: LiveResult, output: Path, terminal: Terminal
) -> None:
    """The full solve takes the place of the live poses. A source that changed its kind of video left several
    recordings: each clip is then written beside its own, and the live poses, which hold all of them, stay; one that
    cannot be solved costs the others nothing.
    """
    terminal.line("solving the recording; Ctrl-C keeps the live poses")
    one = len(result.recordings) == 1
    with cancel_on_interrupt() as cancel, tempfile.TemporaryDirectory(dir=output.parent, prefix=".marionet") as aside:
        for video in result.recordings:
            clip = output if one else video.with_name(f"{video.stem}_solved.npz")
            try:
                full = solve(_full_request(args, request, video, Path(aside) / "full.npz"), terminal.progress, cancel)
            except (NoPersonError, VideoError) as fault:
                if one:
                    raise
                terminal.warn(f"{video.name} is not solved: {fault.message}")
                continue
            if full.cancelled:
                return
            full.files[0].replace(clip)
            terminal.line(f"wrote {clip}: the full solve")
            terminal.event("clip", file=str(clip), live=False)


def _full_request(args: argparse.Namespace, request: LiveRequest, video: Path, output: Path) -> SolveRequest:
    return SolveRequest(
        video=video,
        output=output,
        height_m=request.height_m,
        camera=request.camera,
        gravity_camera=request.calibration.gravity_camera,
        hands=args.hands,
        face=args.face,
        model=ModelFiles(args.towers, args.bank),
        device=args.device,
    )
