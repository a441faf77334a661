"""`python -m backend serve`: the service that Blender starts or connects to. May import `backend.server`,
and what names a model.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from backend.cli.solve import add_model
from backend.embedding.model_files import ModelFiles
from backend.errors import BadInputError
from backend.files import parse_size
from backend.live.addresses import parse_permission
from backend.server.config import WORKER_COMMAND, Limits, ServerConfig, state_dir

LOG_FILE_VARIABLE = "MARIONET_LOG_FILE"
_EXAMPLES = """examples:
  python -m backend serve
      for Blender on this machine; the connection file says where it listens
  python -m backend serve --bind tcp://0.0.0.0:5570 --keys ~/.config/marionet/keys --root /studio/plates
      for the studio: encrypted, clients on the allow-list only, reads no files outside /studio/plates
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "serve",
        help="run the backend as a service",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("--bind", default="tcp://127.0.0.1:0", metavar="ADDRESS", help="where to listen; port 0 takes a free one")
    add("--device", action="append", metavar="NAME", help="compute device, one worker each (default: auto)")
    add_model(parser)
    _add_access(parser.add_argument_group("access", "who may connect, and what they may name"))
    _add_limits(parser.add_argument_group("limits", "of jobs, uploads and memory"))
    _add_files(parser.add_argument_group("files and lifetime", "what is kept, and when the server ends"))


def _add_access(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--keys", type=Path, metavar="DIR", help="CURVE keys and allow-list; required on other than loopback addresses")
    add(
        "--root",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="clients may name videos in here only; with --keys and no --root they upload",
    )
    add(
        "--allow-live",
        action="append",
        type=parse_permission,
        default=[],
        metavar="[CLIENT=]PATTERN",
        help="cameras and streams that clients may open, such as camera:* or rtsp://10.0.0.5/*; without it a server "
        "on loopback without --keys opens all for its own user, another one none",
    )


def _add_limits(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    limits = Limits()
    add("--max-jobs", type=int, default=limits.max_jobs, metavar="N", help="jobs waiting and running at once")
    add(
        "--client-jobs", type=int, metavar="N", help="of these, one client's (default: a quarter with --keys, else all)"
    )
    add("--max-frames", type=int, default=limits.max_frames, metavar="N", help="frames of each video of a job")
    add("--memory", default="4G", metavar="SIZE", help="memory of each worker; a job that needs more fails")
    add("--max-upload", default="4G", metavar="SIZE", help="bytes of one uploaded video")
    add("--client-uploads", default="8G", metavar="SIZE", help="bytes of uploads for one client's unfinished jobs")
    add("--rate", type=float, default=limits.rate_per_s, metavar="N", help="requests a second of one client")
    add(
        "--stall",
        type=float,
        default=limits.stall_s,
        metavar="S",
        help="time limit in seconds for a video that gives no data; 0: no limit",
    )
    add(
        "--finish", type=float, default=limits.finish_s, metavar="S", help="a stopped solve may go on with what it kept"
    )


def _add_files(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    limits = Limits()
    add("--connection-file", type=Path, metavar="PATH", help="connection file to write")
    add("--data-dir", type=Path, metavar="DIR", help="folder for jobs and results")
    add(
        "--log-file",
        type=Path,
        default=os.environ.get(LOG_FILE_VARIABLE),
        metavar="PATH",
        help=f"log there, at most five files of 8 MiB, not to standard error (or set {LOG_FILE_VARIABLE})",
    )
    add(
        "--keep-upload",
        type=float,
        default=limits.keep_upload_s,
        metavar="S",
        help="how long a video that was looked through for people waits to be solved; 0: not at all",
    )
    add("--keep-days", type=float, default=7.0, metavar="N", help="how long results wait to be taken")
    add("--owner-pid", type=int, default=0, metavar="PID", help="stop when this process ends")
    add("--stay", action="store_true", help="keep running when the owner process ends")


def config_from(arguments: argparse.Namespace) -> ServerConfig:
    """The options as a configuration. Raises BadInputError for values that cannot be."""
    for name, least in (
        ("max_jobs", 1),
        ("max_frames", 1),
        ("rate", 1.0),
        ("keep_days", 0.01),
        ("finish", 0.0),
        ("keep_upload", 0.0),
        ("client_jobs", 1),
        ("stall", 0.0),
    ):
        value = getattr(arguments, name)
        if value is not None and not value >= least:
            raise BadInputError(f"--{name.replace('_', '-')} is {value}", f"It is at least {least}")
    files = ModelFiles(*(path.absolute() if path else None for path in (arguments.towers, arguments.bank)))
    files.check()
    missing = [root for root in arguments.root if not root.is_dir()]
    if missing:
        raise BadInputError(f"--root {missing[0]} is not a folder")
    folder = state_dir()
    return ServerConfig(
        connection_file=arguments.connection_file or folder / "connection.json",
        data_dir=arguments.data_dir or folder / "service",
        bind=arguments.bind,
        devices=tuple(arguments.device or ("auto",)),
        worker_command=(*WORKER_COMMAND, *_model_words(files)),
        roots=tuple(root.resolve() for root in arguments.root),
        keys_dir=arguments.keys,
        live=tuple(arguments.allow_live),
        owner_pid=0 if arguments.stay else arguments.owner_pid,
        limits=_limits_from(arguments),
    )


def _limits_from(arguments: argparse.Namespace) -> Limits:
    share = max(1, arguments.max_jobs // 4) if arguments.keys is not None else arguments.max_jobs
    return Limits(
        max_jobs=arguments.max_jobs,
        client_jobs=min(arguments.client_jobs or share, arguments.max_jobs),
        max_frames=arguments.max_frames,
        memory_bytes=parse_size(arguments.memory),
        upload_bytes=parse_size(arguments.max_upload),
        client_upload_bytes=parse_size(arguments.client_uploads),
        keep_upload_s=arguments.keep_upload,
        rate_per_s=arguments.rate,
        keep_s=arguments.keep_days * 86_400.0,
        finish_s=arguments.finish,
        stall_s=arguments.stall,
    )


def _model_words(files: ModelFiles) -> list[str]:
    named = (("--towers", files.towers), ("--bank", files.bank))
    return [word for option, path in named if path is not None for word in (option, str(path))]


def run(args: argparse.Namespace) -> int:
    """Serve until stopped; 0 after a graceful stop."""
    config = config_from(args)
    if args.log_file is not None:
        from backend.server.log_file import LogFile

        LogFile(args.log_file.absolute()).watch()
    return serve(config)


def serve(config: ServerConfig) -> int:
    """Run the service in this process with structured logs on standard error."""
    from backend.server.logs import set_up_logging
    from backend.server.service import Service

    set_up_logging(sys.stderr)
    service = Service(config, _version())
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, lambda received, frame: service.stop(f"signal {received}"))
    service.run()
    return 0


def _version() -> str:
    try:
        return version("marionet")
    except PackageNotFoundError:
        return "0.0.0"  # a checkout that was not installed
