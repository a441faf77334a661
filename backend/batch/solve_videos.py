"""The solve of an order: one video, or those videos of a take that can be read.

May import `backend.batch`, `backend.pipeline`, `backend.multiview`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from backend.batch.solve_order import solve_request
from backend.batch.take_order import alone, take_request, tell_left_out, usable_videos
from backend.batch.tasks import ClipTask, RunSettings
from backend.embedding.model_files import ModelFiles
from backend.multiview.solve_take import solve_take
from backend.multiview.take_request import TakeResult
from backend.pipeline import solve
from backend.solving.models import SolveModels
from backend.solving.request import SolveQuality, SolveResult
from backend.types import ProgressCallback
from blender_addon.motion.clip_warning import ClipWarning

Solved = tuple[Sequence[Path], dict[str, str]]


class ModelBench(Protocol):
    """What a solve needs of the process that it runs in."""

    settings: RunSettings

    def models(self, quality: SolveQuality, files: ModelFiles) -> SolveModels:
        """The networks of a quality."""
        ...


def solve_videos(order: ClipTask, output: Path, bench: ModelBench, progress: ProgressCallback) -> Solved:
    """The solved clips' files, and what is told of the work. Raises what `solve` and `solve_take` do."""
    if not order.is_take:
        return _solve_one(order, output, bench, progress)
    usable = usable_videos(order, output, bench.settings.device)
    if len(usable.places) == 1 and not usable.close_ups:
        return _solve_one(alone(order, usable.places[0]), output, bench, progress, usable.warnings)
    request = take_request(order, usable, output, bench.settings.device)
    first = request.videos[0]
    result = solve_take(request, progress, models=bench.models(first.quality, first.model))
    return _told(result, output, usable.warnings)


def _solve_one(
    order: ClipTask,
    output: Path,
    bench: ModelBench,
    progress: ProgressCallback,
    warnings: tuple[ClipWarning, ...] = (),
) -> Solved:
    request = solve_request(order, output, bench.settings.device)
    result = solve(request, progress, models=bench.models(request.quality, request.model))
    return _told(result, output, warnings)


def _told(result: SolveResult | TakeResult, output: Path, warnings: tuple[ClipWarning, ...]) -> Solved:
    files = tell_left_out(result.clips, warnings, output) if warnings else result.files
    return files, {"people": str(len(files)), "device": result.device, "frames": str(result.frames)}
