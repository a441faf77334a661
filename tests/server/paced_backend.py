"""`serve` with paced workers in place of the product's: the same command line, the same server."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from backend.cli.serve import add_arguments, config_from, serve

WORKER = str(Path(__file__).with_name("paced.py"))


def main() -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.add_argument("--broken-worker", action="store_true")
    parser.add_argument("--slow-start", type=float, default=0.0)
    parser.add_argument("--descriptors", type=int, default=0)
    parser.add_argument("--leap", type=float, default=0.0)
    arguments = parser.parse_args()
    if arguments.leap:
        real = time.time
        time.time = lambda: real() + arguments.leap  # the system's clock as the server sees it
    if arguments.descriptors:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (arguments.descriptors, arguments.descriptors))
    command = (sys.executable, WORKER, "--slow-start", str(arguments.slow_start))
    if arguments.broken_worker:
        command = (sys.executable, "-c", "raise SystemExit(7)")
    return serve(replace(config_from(arguments), worker_command=command))


if __name__ == "__main__":
    sys.exit(main())
