"""Batches, simulated and from renders, made by processes of their own, packed in half precision. numpy only."""

from __future__ import annotations

import multiprocessing
import os
import queue
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from backend.training.pool import MotionPool
from backend.training.render_windows import RenderPool, render_batch
from backend.training.simulate import SimulationSettings, TrainingBatch, simulate_batch


class PackedBatch(NamedTuple):
    """frames (B, W, F), context (B, C), joints_m (B, 17, 3), pose_m (B, 17, 3) on the canonical body,
    rotations (B, J, 3, 3), gravity (B, 3), proportions (B, 7); of windows with motion truth also window_joints_m
    (B, W, 17, 3), velocity_m_s (B, 17, 3) and standing (B, 2).
    """

    frames: np.ndarray
    context: np.ndarray
    joints_m: np.ndarray
    pose_m: np.ndarray
    rotations: np.ndarray
    gravity: np.ndarray
    proportions: np.ndarray
    window_joints_m: np.ndarray | None = None
    velocity_m_s: np.ndarray | None = None
    standing: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Mix:
    """What a batch is made of: `share` of its windows from renders, the rest simulated from mocap."""

    settings: SimulationSettings = SimulationSettings()
    renders: RenderPool | None = None
    share: float = 0.0


def pack_batch(pool: MotionPool, count: int, rng: np.random.Generator, mix: Mix) -> PackedBatch:
    """Make one batch and pack it."""
    rendered = round(count * mix.share) if mix.renders is not None else 0
    parts = []
    if rendered < count:
        parts.append(_packed(simulate_batch(pool, count - rendered, rng, mix.settings)))
    if mix.renders is not None and rendered:
        parts.append(_packed(render_batch(mix.renders, rendered, rng, mix.settings)))
    return parts[0] if len(parts) == 1 else PackedBatch(*(np.concatenate(c) for c in zip(*parts, strict=True)))


def _packed(batch: TrainingBatch) -> PackedBatch:
    half = np.float16
    return PackedBatch(
        batch.input.frames.astype(half),
        batch.input.context,
        batch.joints_m,
        batch.pose_m,
        batch.rotations.astype(half),
        batch.gravity,
        batch.proportions,
        *((batch.motion.joints_m, batch.motion.velocity_m_s, batch.motion.still) if batch.motion else ()),
    )


def _produce(pool: MotionPool, count: int, seed: int, mix: Mix, out: multiprocessing.Queue) -> None:
    rng = np.random.default_rng(seed)
    parent = os.getppid()
    while os.getppid() == parent:  # end with the trainer, however it ends
        batch = pack_batch(pool, count, rng, mix)
        while os.getppid() == parent:
            try:
                out.put(batch, timeout=2.0)
                break
            except queue.Full:
                continue
    out.cancel_join_thread()  # nobody reads what is still in the pipe


class BatchSource:
    """Processes that simulate batches; a context manager so that none outlives the training."""

    def __init__(self, pool: MotionPool, count: int, mix: Mix, workers: int = 1, seed: int = 1) -> None:
        context = multiprocessing.get_context("spawn")
        self._queue: multiprocessing.Queue[PackedBatch] = context.Queue(maxsize=6)
        self._workers = [
            context.Process(target=_produce, args=(pool, count, seed + 1000 * k, mix, self._queue), daemon=True)
            for k in range(workers)
        ]

    def __enter__(self) -> BatchSource:
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.terminate()
            worker.join(timeout=5)
        self._queue.cancel_join_thread()
        self._queue.close()

    def get(self, wait: bool) -> PackedBatch | None:
        """The next batch; None when none is ready and `wait` is False. RuntimeError when every worker died."""
        while True:
            try:
                return self._queue.get(timeout=5.0) if wait else self._queue.get_nowait()
            except queue.Empty:
                if not any(worker.is_alive() for worker in self._workers):
                    raise RuntimeError("every data process ended; see its error above") from None
                if not wait:
                    return None
