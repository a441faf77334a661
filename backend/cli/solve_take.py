"""`solve` with several videos: one performance, several cameras. May import the backend's rooms."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backend.camera import CameraOptions
from backend.cli.output import Terminal, cancel_on_interrupt, clock_text
from backend.errors import BadInputError, Cancelled
from backend.multiview.setup_file import read_setup, write_setup
from backend.multiview.solve_take import solve_take
from backend.multiview.take_request import TakeRequest, TakeResult, parse_close_ups, parse_offsets
from backend.multiview.view_clips import clips_in_view
from backend.solving.outputs import check_apart, check_ending, check_writable
from backend.solving.request import ChunkCallback, SolvedChunk, SolveRequest, SolveResult
from backend.types import CancelToken
from backend.video import open_video

_ONLY_TAKES = (("offset", "--offset"), ("setup", "--setup"), ("save_setup", "--save-setup"))


def add_take(group: argparse._ArgumentGroup) -> None:
    """The options of a take with several videos."""
    add_known(group)
    group.add_argument(
        "--close-up",
        type=Path,
        action="append",
        default=[],
        metavar="VIDEO",
        help="a video of the face or the hands alone, for expression and fingers; repeat it for more",
    )
    group.add_argument(
        "--close-up-offset",
        action="append",
        default=[],
        metavar="S,...",
        help="seconds by which each close-up begins later than the first video (? to find it)",
    )
    group.add_argument("--save-setup", type=Path, metavar="JSON", help="keep the cameras for the next take")


def add_known(group: argparse._ArgumentGroup) -> None:
    """The options that say what is known of a take beforehand."""
    group.add_argument(
        "--offset",
        action="append",
        default=[],
        metavar="S,...",
        help="seconds by which each video but the first begins later than the first (? to find it): 1.25 or 1.25,?",
    )
    group.add_argument("--setup", type=Path, metavar="JSON", help="cameras of an earlier take of the same set-up")


def refuse_take_options(args: argparse.Namespace) -> None:
    """Raise BadInputError for options of several videos where there is one."""
    for name, flag in _ONLY_TAKES:
        if getattr(args, name, None):
            raise BadInputError(f"{flag} is for several videos, and there is one", "Name every video of the take")
    if getattr(args, "close_up_offset", None) and not args.close_up:
        raise BadInputError("--close-up-offset is for close-ups, and there is none", "Name each with --close-up")


def run_take(args: argparse.Namespace, videos: Sequence[SolveRequest]) -> int:
    """Solve a take, write it, and draw what is asked for. Returns 0, or 130 when stopped early."""
    request = _request(args, videos)
    overlays = _overlays(args.overlay, len(videos))
    _check_outputs(args, overlays)
    terminal = Terminal(as_json=args.json, quiet=args.quiet)
    began = time.monotonic()
    with cancel_on_interrupt() as cancel:
        on_chunk = chunk_events(terminal) if args.json and not args.no_preview else None
        result = solve_take(request, terminal.progress, cancel, on_chunk=on_chunk)
        _report(terminal, result, time.monotonic() - began)
        if args.save_setup is not None:
            write_setup(result.setup, args.save_setup)
            terminal.line(f"wrote {args.save_setup}")
        if result.cancelled:
            return Cancelled.exit_code
        _look(args, request, result, (terminal, cancel), overlays)
    return 0


def _request(args: argparse.Namespace, videos: Sequence[SolveRequest]) -> TakeRequest:
    if args.camera is not None:
        raise BadInputError(
            "--camera picks one camera, a take has several", "Leave it out: cameras go by name or order"
        )
    if args.calibration is not None:
        videos = [replace(video, camera=CameraOptions()) for video in videos]
    if args.gravity:
        videos = [videos[0], *(replace(video, gravity_camera=None) for video in videos[1:])]
    setup = None if args.setup is None else read_setup(args.setup)
    offsets = parse_offsets(args.offset, len(videos))
    close_ups = parse_close_ups(args.close_up, args.close_up_offset)
    return TakeRequest(tuple(videos), args.output, offsets, args.calibration, setup, close_ups=close_ups)


def _overlays(overlay: Path | None, count: int) -> tuple[Path, ...]:
    """One overlay for each video: look.mp4 becomes look.0.mp4, look.1.mp4."""
    if overlay is None:
        return ()
    return tuple(overlay.with_suffix(f".{place}{overlay.suffix}") for place in range(count))


def _check_outputs(args: argparse.Namespace, overlays: Sequence[Path]) -> None:
    named: list[tuple[Path, tuple[str, ...]]] = [(path, (".mp4",)) for path in overlays]
    named += [(path, (".json",)) for path in (args.save_setup,) if path is not None]
    named += [(path, (".png", ".jpg", ".jpeg")) for path in (args.sheet,) if path is not None]
    named += [(path, (".png", ".svg", ".pdf")) for path in (args.plot,) if path is not None]
    for path, endings in named:
        check_ending(path, endings)
        check_writable(path)
    for video in (*args.video, *args.close_up):
        check_apart(video, [args.output, *(path for path, _ in named)])


def chunk_events(terminal: Terminal) -> ChunkCallback:
    """A callback that tells each preview as an event."""

    def send(chunk: SolvedChunk) -> None:
        first, last = int(chunk.frame_index[0]), int(chunk.frame_index[-1])
        terminal.event("preview", person=chunk.person, first_frame=first, last_frame=last)

    return send


def _report(terminal: Terminal, result: TakeResult, took_s: float) -> None:
    for warning in result.warnings:
        terminal.warn(warning.text, warning.code)
    frames = len(result.clips[0])
    for path, clip in zip(result.files, result.clips, strict=True):
        terminal.line(f"wrote {path}   {int((clip.confidence > 0).sum())} of {frames} frames with a pose")
    for place, camera in enumerate(result.clips[0].header.cameras):
        name = Path(camera.source).name
        if not camera.used:
            terminal.line(f"  video {place + 1} {name:<20} left out")
            continue
        terminal.line(
            f"  video {place + 1} {name:<20} starts {camera.start_s:+.3f} s   focal {camera.matrix[0][0]:.0f} px "
            f"(±{100 * camera.focal_share:.0f} %)   rotation ±{camera.rotation_deg:.1f} deg   "
            f"keypoints {camera.reprojection_px:.1f} px off"
        )
    for name, value in result.figures.items():
        terminal.line(f"  {name:<28} {value:.4g}")
    terminal.line(f"{clock_text(took_s)} for {result.frames} frames of all videos on {result.device}")
    report_end(terminal, result, took_s)


def report_end(terminal: Terminal, result: SolveResult | TakeResult, took_s: float) -> None:
    """Whether a solve was stopped, and the event with its result: the same for one video and for several."""
    if result.cancelled:
        terminal.warn(f"stopped after {result.frames} frames; `--resume` goes on from here")
    terminal.event(
        "result",
        files=[str(path) for path in result.files],
        frames=result.frames,
        cancelled=result.cancelled,
        figures=result.figures,
        seconds=took_s,
        stage_seconds=result.stage_s,
        device=result.device,
    )


def _look(
    args: argparse.Namespace,
    request: TakeRequest,
    result: TakeResult,
    control: tuple[Terminal, CancelToken],
    overlays: Sequence[Path],
) -> None:
    if not (overlays or args.sheet or args.plot):
        return
    from backend.visualization import write_overlay, write_plot, write_sheet

    terminal, cancel = control
    made: list[Path] = []
    if args.plot:
        write_plot(result.clips, args.plot)
        made.append(args.plot)
    if args.sheet:
        first = request.videos[result.take.used[0] if result.take.used else 0]
        write_sheet(open_video(first.video, first.video_options), result.clips, args.sheet)
        made.append(args.sheet)
    for place, path in enumerate(overlays):
        video = request.videos[place]
        clips = clips_in_view(result, place)
        if clips:
            write_overlay(open_video(video.video, video.video_options), clips, path, terminal.progress, cancel)
            made.append(path)
    for path in made:
        terminal.line(f"wrote {path}")
        terminal.event("picture", file=str(path))
