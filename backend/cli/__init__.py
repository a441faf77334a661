"""The command line: `python -m backend COMMAND`. May import anything of the backend, each command its own part late.

A command is one module here with `add_parser(subparsers)` and `run(args) -> int`, and one line in `COMMANDS`. Only the
command that is asked for is imported, so a missing optional package breaks that command and no other.
"""

from __future__ import annotations

import os

# Before numpy is imported: its BLAS would start a thread a core for every small system of equations, which on a busy
# machine makes them wait for each other a thousand times longer than one thread needs. Frames run in parallel instead.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from backend.cli.output import is_reader_gone, let_go_of_streams, make_streams_safe, report_error
from backend.errors import BadInputError, MarionetError

PROGRAM = "marionet"
_READER_GONE = 141  # as a shell reports a program that SIGPIPE ended
_TAKE_NEGATIVE = ("--gravity", "--range")
_NEGATIVE = re.compile(r"-[\d.]")


@dataclass(frozen=True, slots=True)
class Command:
    """A command's name, which is its module's name too, and its line in the help."""

    name: str
    summary: str


COMMANDS = (
    Command("solve", "turn a video into a motion clip"),
    Command("batch", "convert folders of clips to animation files, on one machine or many"),
    Command("live", "solve a camera or a stream while it runs; send VMC, record"),
    Command("tracks", "list the people in a video, with a contact sheet to choose from"),
    Command("doctor", "check devices, codecs, weights and packages, with remedies"),
    Command("serve", "run the backend as a service for Blender, on this machine or the network"),
    Command("status", "show the status of a running backend: jobs, queue, load, versions"),
    Command("synthesize", "render training images of dressed bodies with known truth"),
    Command("bank", "build a pose bank from mocap, or describe one"),
    Command("train", "train the towers from mocap"),
    Command("evaluate", "measure accuracy on simulated and real recordings"),
    Command("keys", "create and manage keys for a backend on the network"),
)

_EPILOG = """\
examples:
  marionet solve dance.mp4 -o dance.npz
  marionet batch shoot/ --rig hero.blend --format fbx,bvh -o out
  marionet tracks street.mp4 --sheet people.png
  marionet doctor

exit codes: 0 done, 1 a clip of a batch failed, 2 bad argument, 3 video, 4 no person, 5 weights, 6 output, 7 device,
8 service, 9 Blender, 10 worker, 130 stopped
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or the `exit_code` of the MarionetError that ended it."""
    make_streams_safe()
    arguments = _as_meant(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    try:
        parser, module = _build_parser(chosen)
        args = parser.parse_args(arguments)
        if module is None:
            parser.print_help()
            return 0 if not arguments else BadInputError.exit_code
        _start_logging(args.verbose)
        return int(module.run(args))
    except MarionetError as error:
        try:
            report_error(error, as_json="--json" in arguments)
        except BrokenPipeError:
            let_go_of_streams()
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        if not is_reader_gone():
            raise
        # whoever read the output has seen enough, as `head` does
        let_go_of_streams()
        return _READER_GONE


class _Parser(argparse.ArgumentParser):
    """Tells wrong arguments as every other error is told: in words with a remedy, or as an event with --json."""

    def error(self, message: str) -> NoReturn:
        """Raise BadInputError instead of leaving."""
        raise BadInputError(message, f"`{self.prog} --help` lists what there is")


def _as_meant(words: Sequence[str]) -> list[str]:
    """`--gravity -0.1,1,0` as one word, which argparse takes for two options, and --verbose wherever it stands."""
    out: list[str] = []
    for word in words:
        if out and out[-1] in _TAKE_NEGATIVE and _NEGATIVE.match(word):
            out[-1] += f"={word}"
        else:
            out.append(word)
    verbose = [word for word in out if word == "--verbose"]
    return verbose + [word for word in out if word != "--verbose"]


def _build_parser(chosen: str | None) -> tuple[argparse.ArgumentParser, ModuleType | None]:
    parser = _Parser(
        prog=PROGRAM,
        description="One-camera video of a person to animation.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="write log messages to standard error")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    module = None
    for command in COMMANDS:
        if command.name == chosen:
            module = _import_command(command.name)
            module.add_parser(subparsers)
        else:
            subparsers.add_parser(command.name, help=command.summary, add_help=False)
    return parser, module


def _import_command(name: str) -> ModuleType:
    try:
        return import_module(f"backend.cli.{name}")
    except ModuleNotFoundError as fault:
        if fault.name is None or fault.name.split(".")[0] in {"backend", "blender_addon"}:
            raise
        raise BadInputError(
            f"The command {name!r} needs the package {fault.name!r}, which is not installed",
            "Install it as docs/how_to/install.md says for this command",
        ) from fault


def _start_logging(verbose: bool) -> None:
    level = logging.INFO if verbose else logging.ERROR
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
