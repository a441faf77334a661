"""The benchmarks that the documentation names: their commands take the options they are given, and small ones run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from backend import cli
from benchmarks import run_all

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    pytest.param(command, id=f"{benchmark.name}{' (quick)' if command is benchmark.quick else ''}")
    for benchmark in run_all.BENCHMARKS
    for command in (benchmark.command, benchmark.quick)
    if command
]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_list_takes_its_options(command: tuple[str, ...]) -> None:
    words = list(command[1:])
    if words[:2] == ["-m", "backend"]:
        parser, _ = cli._build_parser(words[2])
        parser.parse_args(words[2:])
        return
    source = (ROOT / words[0]).read_text(encoding="utf-8")
    known = set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', source))
    assert {word for word in words if word.startswith("--")} <= known


def test_every_benchmark_of_the_folder_is_in_the_list() -> None:
    listed = {word for benchmark in run_all.BENCHMARKS for word in benchmark.command if word.endswith(".py")}
    helpers = {f"benchmarks/{name}.py" for name in ("run_all", "peer_mediapipe", "peer_details", "outcome")}
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "benchmarks").glob("*.py")}
    assert there - helpers <= listed


def test_every_benchmark_of_the_performance_page_is_in_the_list() -> None:
    listed = {word for benchmark in run_all.BENCHMARKS for word in benchmark.command if word.endswith(".py")}
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    named = set(re.findall(r"benchmarks/[a-z_]+\.py", page)) - {"benchmarks/run_all.py"}
    assert named
    assert named <= listed


def test_the_search_prints_its_table() -> None:
    done = run("benchmarks/search.py", "--rows", "3000", "--dimensions", "32", "--count", "50", "--without-faiss")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\| Marionet, exact \| [0-9.]+ \| [0-9.]+ \|", done.stdout)


@pytest.mark.slow
def test_a_step_of_training_prints_its_table() -> None:
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    done = run("benchmarks/train_step.py", "--batch", "8", "--repeats", "1")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\| single precision \| [0-9]+ \| 1.00 \|", done.stdout)


def test_what_cannot_run_says_why(tmp_path: Path) -> None:
    missing = run_all.Benchmark("nothing", (sys.executable,), needs=(tmp_path / "gone",))
    assert run_all.lacks(missing) == f"{tmp_path / 'gone'} is not there"
    assert run_all.lacks(run_all.Benchmark("nothing", (sys.executable,), needs=(tmp_path,))) == ""


@pytest.mark.parametrize(
    ("ends", "status", "words"),
    [
        ((0, 0), 0, ["All that ran reached its target."]),
        ((3, 0), 0, ["Target missed: `--quick` is a check", "Target missed: first"]),
        ((77, 3), 0, ["Not run: the reason is below", "Target missed: second"]),
        ((3, 1), 1, ["**Failed** (exit status 1)", "Failed: second", "Target missed: first"]),
        ((-9, 0), 1, ["**Failed** (exit status -9)", "Failed: first"]),
    ],
)
def test_a_missed_target_is_said_and_only_a_crash_is_a_failure(
    ends: tuple[int, int], status: int, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ending(code: int) -> tuple[str, ...]:
        how = f"os.kill(os.getpid(), {-code})" if code < 0 else f"sys.exit({code})"
        return (sys.executable, "-c", f"import os, sys; print('a table', flush=True); {how}")

    named = [run_all.Benchmark(name, ending(code)) for name, code in zip(("first", "second"), ends, strict=True)]
    monkeypatch.setattr(run_all, "BENCHMARKS", named)
    monkeypatch.setattr(sys, "argv", ["run_all.py", "--quick", "--output", str(tmp_path / "tables.md")])
    assert run_all.main() == status
    told = (tmp_path / "tables.md").read_text()
    assert told.count("a table\n") == 2
    assert all(word in told for word in words), told


def test_a_benchmark_that_fails_is_told_with_its_complaint() -> None:
    code = "import sys; print('half a table'); sys.exit('the disk is full')"
    status, section = run_all.run(run_all.Benchmark("broken", (sys.executable, "-c", code)), quick=False)
    assert status == 1
    assert "half a table" in section
    assert "the disk is full" in section
