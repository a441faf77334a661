"""`python -m backend status`: jobs, queue, load and versions of a running server. May import `backend.server`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from backend.errors import BadInputError
from backend.server.config import state_dir
from backend.server.inquiry import PATIENCE_S, ServerReport, ask_server

_EXAMPLES = """examples:
  python -m backend status
      the backend that this user started on this machine
  python -m backend status --connection-file anna.json --json
      a server on the network, for a monitoring program: exit code 8 where it does not answer
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "status",
        help="show the status of a running backend: jobs, queue, load, versions",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--connection-file", type=Path, metavar="PATH", help="of the server (default: this user's own)")
    parser.add_argument("--patience", type=float, default=PATIENCE_S, metavar="S", help="how long to wait for answers")
    parser.add_argument("--json", action="store_true", help="write one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the report; 0 when the server answered. Raises ServiceError when it does not, BadInputError."""
    if not args.patience > 0:
        raise BadInputError(f"--patience is {args.patience}", "Give it seconds above 0")
    report = ask_server(args.connection_file or state_dir() / "connection.json", args.patience)
    print(json.dumps(report.as_record()) if args.json else "\n".join(_lines(report)))
    return 0


def _lines(report: ServerReport) -> list[str]:
    record, status = report.as_record(), report.status
    process = f", process {report.pid}" if report.pid else ""
    states = ", ".join(f"{count} {state}" for state, count in sorted(status.jobs.items())) or "none"
    refusals = ", ".join(f"{count} {code}" for code, count in sorted(status.refusals.items())) or "none"
    return [
        f"Marionet {record['version']}, protocol {record['protocol']}, at {report.endpoint}{process}",
        f"Up {_duration(status.uptime_s)}, server memory {status.memory_bytes / 2**20:.0f} MiB",
        f"Workers: {record['busy_workers']} of {len(status.workers)} busy",
        *(
            f"  {worker.worker}  {worker.device:<10} {worker.state:<9} {worker.memory_bytes / 2**20:>6.0f} MiB  "
            f"{worker.job_id}".rstrip()
            for worker in status.workers
        ),
        f"Queue: {record['queued']} waiting, {report.welcome.max_jobs} allowed",
        f"Jobs: {states}",
        f"Refused since the start: {refusals}",
        *(["Your jobs:"] if report.jobs else []),
        *(
            f"  {job.job_id}  {job.state:<9} {_age(job.submitted_unix_s)}  {_progress(job)}{job.label}"
            for job in report.jobs
        ),
    ]


def _progress(job: object) -> str:
    stage, done, total = (getattr(job, name) for name in ("stage", "done", "total"))
    return f"{stage} {done}/{total}  " if stage else ""


def _age(unix_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s))


def _duration(seconds: float) -> str:
    minutes, hours = int(seconds) // 60 % 60, int(seconds) // 3600
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {int(seconds) % 60} s"
