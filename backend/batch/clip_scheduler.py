"""The run: which step of which clip comes next, what is tried again, what is remembered. Executor-neutral.

May import stdlib, `backend.batch` and `backend.errors`. One thread decides; hashing of sources goes on beside it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Final

from backend.batch import solve_cache
from backend.batch.executor import Executor
from backend.batch.planning import Hasher
from backend.batch.records import (
    DONE,
    FAILED,
    RUNNING,
    STOPPED,
    WAITING,
    ClipRecord,
    ClipStatus,
    RecordStore,
    is_of_another_video,
    new_record,
)
from backend.batch.storage import Storage, output_error
from backend.batch.tasks import Fault, PlannedClip, Step, StepEnded, StepOutcome, StepTask
from backend.errors import Cancelled, MarionetError
from backend.export.find_blender import find_blender
from backend.types import CancelToken

log = logging.getLogger(__name__)

ATTEMPTS: Final = 2
_WAIT_S: Final = 0.2
_HASH_AHEAD: Final = 4
Listener = Callable[["ClipScheduler"], None]


@dataclass(frozen=True, slots=True)
class Policy:
    """`overwrite` files that are not this batch's; `redo` what is finished; `blender` is the one that was named, looked
    for beforehand when the executor works on this machine (`check_blender`).
    """

    overwrite: bool = False
    redo: bool = False
    blender: str = ""
    check_blender: bool = True


@dataclass(slots=True)
class _Clip:
    """A clip under way."""

    plan: PlannedClip
    record: ClipRecord
    open_steps: set[Step] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)


class ClipScheduler:
    """One run over planned clips. `records` holds them all, in their order, as they stand."""

    def __init__(self, clips: Sequence[PlannedClip], storage: Storage, executor: Executor, policy: Policy) -> None:
        self.records = {clip.base: replace(new_record(clip, WAITING), claims=()) for clip in clips}
        self._storage = storage
        self._book = RecordStore(storage)
        self._executor = executor
        self._policy = policy
        self._unseen = deque(clips)
        self._hashing: deque[tuple[PlannedClip, Future[PlannedClip]]] = deque()
        self._queues: dict[Step, deque[StepTask]] = {step: deque() for step in Step}
        self._again: dict[Step, deque[StepTask]] = {step: deque() for step in Step}
        self._clips: dict[str, _Clip] = {}
        self._hasher = Hasher()
        self._solving: set[str] = set()
        self._forgotten: set[str] = set()
        self._no_blender: Fault | None = None
        self._blender_checked = not policy.check_blender

    def run(self, stop: CancelToken, listen: Listener) -> None:
        """Convert until nothing is left; after `stop` only what has begun. `listen` is called a few times a second.

        Raises KeyboardInterrupt through; the caller closes the executor.
        """
        while self._unseen or self._hashing or self._clips:
            if stop.cancelled:
                self._stop_waiting()
            else:
                self._look_ahead()
            self._feed()
            for event in self._executor.wait(_WAIT_S):
                if isinstance(event, StepEnded):
                    self._take(event)
            listen(self)

    @property
    def executor(self) -> Executor:
        """Where the steps run."""
        return self._executor

    @property
    def under_way(self) -> list[str]:
        """Bases of clips that have begun and are not finished."""
        return list(self._clips)

    # ------------------------------------------------------------------------------------------ before a clip begins
    def _look_ahead(self) -> None:
        """Hash a few sources ahead of the executor, and begin what is hashed while solvers have room."""
        while self._unseen and len(self._hashing) < _HASH_AHEAD:
            clip = self._unseen.popleft()
            if clip.order.trouble is not None:
                self._finish_without(clip, clip.order.trouble)
                continue
            self._hashing.append((clip, self._hasher.submit(clip)))
        while self._hashing and self._hashing[0][1].done() and self._wants_more():
            clip, future = self._hashing.popleft()
            try:
                self._begin(future.result())
            except MarionetError as fault:
                self._finish_without(clip, Fault(fault.code, fault.message, fault.remedy))
            except OSError as fault:
                error = output_error(clip.order.source, fault)
                self._finish_without(clip, Fault(error.code, error.message, error.remedy))
            except Exception as fault:  # one clip's bug is no reason to end the night's work
                log.exception("%s cannot be begun", clip.base)
                text = f"Internal error: {type(fault).__name__}: {fault}"
                self._finish_without(clip, Fault("internal", text, "Report this with the output of --verbose"))

    def _wants_more(self) -> bool:
        return len(self._queues[Step.SOLVE]) < max(1, self._executor.room(Step.SOLVE))

    def _begin(self, clip: PlannedClip) -> None:
        """Nothing, when it is finished; else its record is opened and its first step queued."""
        earlier = self._book.read(clip.base)
        if not self._policy.redo and self._book.is_finished(earlier, clip):
            assert earlier is not None
            self.records[clip.base] = replace(earlier, reused=True)
            return
        if clip.order.needs_blender and (fault := self._missing_blender()) is not None:
            self._finish_without(clip, fault)
            return
        if not self._policy.overwrite:
            self._book.check_room(earlier, clip)
        record = new_record(clip, RUNNING)
        if earlier is not None:  # what an earlier run put there, or may have, is still this batch's own
            ours = (*record.claims, *earlier.claims, *(output.name for output in earlier.outputs))
            record = replace(record, claims=tuple(dict.fromkeys(ours)))
        self._book.write(record)
        self.records[clip.base] = record
        self._clips[clip.base] = _Clip(clip, record)
        if self._policy.redo and clip.solve_key not in self._forgotten:
            self._forgotten.add(clip.solve_key)
            solve_cache.forget_solved(self._storage, clip.solve_key)
        if not solve_cache.people_solved(self._storage, clip.solve_key):
            self._queue(clip, Step.SOLVE)
        else:
            self._after_solve(self._clips[clip.base])

    def _missing_blender(self) -> Fault | None:
        if not self._blender_checked:
            self._blender_checked = True
            try:
                find_blender(self._policy.blender)
            except MarionetError as fault:
                self._no_blender = Fault(fault.code, fault.message, fault.remedy)
        return self._no_blender

    # ------------------------------------------------------------------------------------------ steps
    def _queue(self, clip: PlannedClip, step: Step) -> None:
        self._clips[clip.base].open_steps.add(step)
        self._queues[step].append(StepTask(step, clip))

    def _feed(self) -> None:
        """Give the executor what it has room for; second attempts come when nothing else of their kind waits."""
        for step in Step:
            while self._executor.room(step) > 0:
                order = self._next(step)
                if order is None:
                    break
                self._executor.submit(order)

    def _next(self, step: Step) -> StepTask | None:
        for queue in (self._queues[step], self._again[step]):
            for _ in range(len(queue)):
                order = queue.popleft()
                if step is not Step.SOLVE:
                    return order
                if order.clip.solve_key in self._solving:  # two rigs, one solve: the second waits for the first
                    queue.append(order)
                elif order.attempt == 1 and solve_cache.people_solved(self._storage, order.clip.solve_key):
                    self._done(order, StepOutcome())
                else:
                    self._solving.add(order.clip.solve_key)
                    return order
        return None

    def _take(self, event: StepEnded) -> None:
        order, clip = event.order, self._clips[event.order.clip.base]
        if order.step is Step.SOLVE:
            self._solving.discard(order.clip.solve_key)
        spent = dict(clip.record.seconds)
        spent[order.step.value] = round(spent.get(order.step.value, 0.0) + event.seconds, 2)
        clip.record = replace(clip.record, seconds=spent, attempts=max(clip.record.attempts, order.attempt))
        faults = [event.fault] if event.fault is not None else list(event.outcome.faults if event.outcome else ())
        if faults and order.attempt < ATTEMPTS:
            log.warning("%s of %s failed and is tried again: %s", order.step.value, order.clip.base, faults[0])
            self._again[order.step].append(replace(order, attempt=order.attempt + 1))
            return
        clip.faults += faults
        self._done(order, event.outcome)

    def _done(self, order: StepTask, outcome: StepOutcome | None) -> None:
        """A step is over for good, well or not."""
        clip = self._clips[order.clip.base]
        if outcome is not None:
            clip.record = clip.record.with_outcome(outcome)
        clip.open_steps.discard(order.step)
        if order.step is Step.SOLVE and outcome is not None and not clip.faults:
            self._after_solve(clip)
        if not clip.open_steps:
            self._close(clip)

    def _after_solve(self, clip: _Clip) -> None:
        if clip.plan.order.needs_blender:
            self._queue(clip.plan, Step.EXPORT)
        self._queue(clip.plan, Step.PREVIEW)

    # ------------------------------------------------------------------------------------------ ends
    def _close(self, clip: _Clip) -> None:
        del self._clips[clip.plan.base]
        status: ClipStatus = FAILED if clip.faults else DONE
        first = clip.faults[0] if clip.faults else None
        record = replace(clip.record, status=status, fault=first, faults=tuple(clip.faults))
        if status == DONE:
            record = replace(record, claims=())
        self._remember(record)

    def _finish_without(self, clip: PlannedClip, fault: Fault) -> None:
        """A clip that fails before it begins. What an earlier run made of it stays its own."""
        earlier = self._book.read(clip.base)
        record = replace(new_record(clip, FAILED, fault), claims=(), faults=(fault,))
        if earlier is not None and is_of_another_video(earlier, clip):
            self.records[clip.base] = record  # what is remembered of the other video stays
            return
        if earlier is not None:
            names = (*earlier.claims, *(output.name for output in earlier.outputs))
            record = replace(record, claims=tuple(dict.fromkeys(names)))
        self._remember(record)

    def _remember(self, record: ClipRecord) -> None:
        self.records[record.base] = record
        try:
            self._book.write(record)
        except MarionetError as fault:
            # told by the clip too: without a record the next run does it again, which is safe
            log.error("%s", fault)
            if record.status == DONE:
                failed = Fault(fault.code, fault.message, fault.remedy)
                self.records[record.base] = replace(record, status=FAILED, fault=failed, faults=(failed,))

    def _stop_waiting(self) -> None:
        """Drop what has not begun: clips without any step done or running."""
        dropped = [*self._unseen, *(clip for clip, _ in self._hashing)]
        self._unseen.clear()
        self._hashing.clear()
        for clip in (*dropped, *self._not_begun()):
            self._clips.pop(clip.base, None)
            stopped = Cancelled("Stopped before it began", "Run the same command again to go on")
            fault = Fault(stopped.code, stopped.message, stopped.remedy)
            self.records[clip.base] = replace(self.records[clip.base], status=STOPPED, fault=fault)

    def _not_begun(self) -> Iterator[PlannedClip]:
        queue = self._queues[Step.SOLVE]
        while queue:
            yield queue.popleft().clip
