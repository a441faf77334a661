"""The executor of a cluster: every step is a Ray task, so placing, queueing and doing again what died are Ray's.

May import ray (the extra `batch`), stdlib, `backend.batch` and `backend.errors`. Workers need the same Marionet, the
sources under the same paths, and the output folder or URL.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import Any, Final

from backend.batch.executor import WorkerView
from backend.batch.ray_progress import RayProgress
from backend.batch.steps import Bench
from backend.batch.tasks import Fault, RunSettings, Step, StepEnded, StepProgress, StepTask
from backend.batch.worker_loop import do_step, thinned
from backend.errors import BadInputError, ServiceError, WorkerError
from backend.export.find_blender import PACKAGES

log = logging.getLogger(__name__)

_WORKER_DEATHS: Final = 5  # how often Ray does a task again whose worker or machine died
_CONNECT_S: Final = 10.0
_IDLE_S: Final = 0.05
_BENCHES: dict[RunSettings, Bench] = {}


class RayExecutor:
    """An executor on the cluster at `address` ("local" starts one in this machine for the run)."""

    def __init__(self, settings: RunSettings, address: str) -> None:
        self._ray = _connect(address)
        self._settings = settings
        self._tasks: dict[Any, tuple[StepTask, float]] = {}
        self._board = self._ray.remote(num_cpus=0, max_restarts=-1)(RayProgress).remote()
        self._asked = self._board.take.remote()
        self._views: dict[str, StepProgress] = {}
        self._cpus = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._gpus = float(self._ray.cluster_resources().get("GPU", 0.0))
        self._task = self._ray.remote(max_retries=_WORKER_DEATHS, retry_exceptions=False)(_on_worker)

    def room(self, step: Step) -> int:
        """Steps beyond what can run at once wait at Ray, so that no worker waits for this process."""
        self._cpus = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        ahead = self._cpus if step is Step.SOLVE else 2 * self._cpus
        return ahead + 1 - sum(order.step is step for order, _ in self._tasks.values())

    def submit(self, order: StepTask) -> None:
        """Hand a step to Ray."""
        gpu = 1.0 if order.step is Step.SOLVE and self._gpus and self._settings.device != "cpu" else 0.0
        task = self._task.options(num_cpus=1, num_gpus=gpu, name=f"{order.step.value} {order.clip.base}")
        self._tasks[task.remote(order, self._settings, self._board)] = (order, time.monotonic())

    def wait(self, timeout_s: float) -> list[StepEnded | StepProgress]:
        """Ends of tasks, and what the workers put on the progress_board."""
        events: list[StepEnded | StepProgress] = []
        if not self._tasks:
            time.sleep(min(timeout_s, _IDLE_S))
        ready, _ = self._ray.wait(list(self._tasks), timeout=timeout_s) if self._tasks else ([], [])
        events += [self._ended(task, *self._tasks.pop(task)) for task in ready]
        for message in self._told():
            self._views[message.worker] = message
            events.append(message)
        return events

    def views(self) -> list[WorkerView]:
        """Workers that have been heard of and are at a step that runs."""
        at_work = {order.clip.base for order, _ in self._tasks.values()}
        return [
            WorkerView(name, one.base, f"{one.step.value}: {one.stage}", one.done, one.total)
            for name, one in sorted(self._views.items())
            if one.base in at_work
        ]

    def close(self) -> None:
        """Drop what still runs and leave the cluster."""
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._ray.shutdown()

    def _told(self) -> list[StepProgress]:
        """News from the progress_board, which is never waited for: it may still start, or be lost with its machine."""
        answered, _ = self._ray.wait([self._asked], timeout=0)
        if not answered:
            return []
        try:
            news: list[StepProgress] = self._ray.get(self._asked)
        except self._ray.exceptions.RayError as fault:
            log.info("the progress_board of progress was lost: %s", fault)
            news = []
        self._asked = self._board.take.remote()
        return news

    def _ended(self, task: Any, order: StepTask, submitted_s: float) -> StepEnded:
        try:
            ended: StepEnded = self._ray.get(task)
        except self._ray.exceptions.RayError as fault:
            error = WorkerError(f"A worker of the cluster was lost: {str(fault).splitlines()[0]}", "Run it again")
            spent_s = time.monotonic() - submitted_s
            return StepEnded(order, "ray", spent_s, fault=Fault(error.code, error.message, error.remedy))
        self._views.pop(ended.worker, None)
        return ended


def _on_worker(order: StepTask, settings: RunSettings, progress_board: Any) -> StepEnded:
    """The task: the pool's own `do_step`, with the models and the Blender that this process has kept."""
    worker = f"{socket.gethostname()}-{os.getpid()}"
    if settings not in _BENCHES:
        _BENCHES[settings] = Bench(settings, worker)
    progress = thinned(order, worker, lambda message: progress_board.put.remote(message))
    return do_step(order, _BENCHES[settings], worker, progress)


def _connect(address: str) -> Any:
    try:
        import ray
    except ModuleNotFoundError as fault:
        raise BadInputError("--ray needs the package ray", "pip install 'marionet[batch]'") from fault
    _check_listening(address)
    # a checkout is not installed: its workers find it as this process did
    environment = {"env_vars": {"PYTHONPATH": str(PACKAGES), "OPENBLAS_NUM_THREADS": "1"}}
    try:
        ray.init(
            address=None if address == "local" else address,
            runtime_env=environment,
            include_dashboard=False if address == "local" else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError, RuntimeError) as fault:
        text = str(fault).strip().splitlines()[0]
        raise ServiceError(
            f"There is no Ray cluster at {address} ({text})", "Start one with `ray start --head`, or use --ray local"
        ) from fault
    return ray


def _check_listening(address: str) -> None:
    """Raise ServiceError where nobody listens: Ray itself would go on trying for minutes."""
    host, mark, port = address.removeprefix("ray://").rpartition(":")
    if not mark or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except OSError as fault:
        raise ServiceError(
            f"There is no Ray cluster at {address} ({fault.strerror or fault})",
            "Start one with `ray start --head`, or use --ray local",
        ) from fault
