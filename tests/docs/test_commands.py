"""The commands in README and docs: every one names a target, command, option or file that exists; some are run.

A block that follows the line `<!-- run -->` is executed as it stands.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from backend import cli
from backend.errors import BadInputError

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^(?P<mark><!-- run -->\n\n?)?```(?P<language>[a-z]*)\n(?P<body>.*?)^```", re.DOTALL | re.MULTILINE)
# In blocks without a language only these count as commands; the rest may be output
OURS = {"python", "marionet", "make"}
# Programs of the system that the pages may use beside the project's own
SYSTEM = {"git", "cd", "pip", "python3", "apt-get", "scp", "ssh", "curl"}


def commands_of(body: str, *, bash: bool) -> list[list[str]]:
    """The commands of a block as words, comments and line continuations resolved, environment prefixes dropped."""
    joined = body.replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        if not bash and line.split(" ")[0] not in OURS:
            continue
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            found.append(words)
    return found


def every_command() -> list[tuple[str, list[str]]]:
    return [
        (page.relative_to(ROOT).as_posix(), words)
        for page in PAGES
        if page.is_file()
        for block in FENCE.finditer(page.read_text(encoding="utf-8"))
        if block["language"] in ("", "bash")
        for words in commands_of(block["body"], bash=block["language"] == "bash")
    ]


def backend_arguments(words: list[str]) -> list[str] | None:
    """What follows `marionet` or `python -m backend`, else None."""
    if words[0] == "marionet" or words[0].endswith("/marionet"):
        return words[1:]
    if re.search(r"(^|/)(python3?|torchrun)$", words[0]) and words[1:3] == ["-m", "backend"]:
        return words[3:]
    return None


def check_backend(arguments: list[str]) -> None:
    """The real parser must take the arguments."""
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    names = [command.name for command in cli.COMMANDS]
    assert chosen in names, f"there is no command {chosen}; there are {names}"
    parser, _ = cli._build_parser(chosen)
    parser.parse_args(arguments)


def check_make(words: list[str]) -> None:
    """Every target must be one of the Makefile's."""
    targets = re.findall(r"^([a-z][a-z0-9.%-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    patterns = [re.compile(re.escape(target).replace("%", ".+") + "$") for target in targets]
    for word in words[1:]:
        if "=" not in word and not word.startswith("-"):
            assert any(pattern.match(word) for pattern in patterns), f"make has no target {word}"


def check_program(words: list[str]) -> None:
    """A file of the repository, a module of it, a tool of the environment, or a program of the system."""
    program = words[0]
    if re.search(r"(^|/)python3?$", program) and len(words) > 1:
        target = ROOT / (words[2].replace(".", "/") + ".py") if words[1] == "-m" else ROOT / words[1]
        known = target.is_file() or words[2:3] in (["pytest"], ["pip"], ["venv"])
        assert known or words[1].startswith("-c"), f"{target} does not exist"
    elif program == ".venv/bin/torchrun":
        pytest.importorskip("torch", reason="torchrun comes with torch, whose CPU build is not at hand")
    elif program.startswith((".venv", "tools/", ".ci/", "benchmarks/")):
        assert (ROOT / program).exists() or program.startswith(".venv-bpy"), f"{program} does not exist"
    else:
        assert program in SYSTEM, f"{program} is not known here; add it or say what provides it"


@pytest.mark.parametrize(
    ("page", "words"), every_command(), ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else value
)
def test_a_command_is_one_that_exists(page: str, words: list[str]) -> None:
    arguments = backend_arguments(words)
    try:
        if arguments is not None:
            check_backend(arguments)
        elif words[0] == "make":
            check_make(words)
        else:
            check_program(words)
    except (SystemExit, BadInputError) as fault:
        pytest.fail(f"{page}: {' '.join(words)}: the parser refuses it ({fault})")


def blocks_to_run() -> list[tuple[str, str]]:
    return [
        (page.relative_to(ROOT).as_posix(), block["body"])
        for page in PAGES
        if page.is_file()
        for block in FENCE.finditer(page.read_text(encoding="utf-8"))
        if block["mark"]
    ]


def test_some_commands_are_run() -> None:
    assert blocks_to_run()


@pytest.mark.parametrize(("page", "body"), blocks_to_run())
def test_a_marked_block_runs(page: str, body: str, tmp_path: Path) -> None:
    program = body.replace("python -m backend", f"{shlex.quote(sys.executable)} -m backend").replace(
        "OUT/", f"{tmp_path}/"
    )
    done = subprocess.run(["bash", "-euc", program], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{page}\n{body}\n{done.stdout}{done.stderr}"
