"""Short clips and real batches of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.batch.batch_runs import QUICK, RENDERED, Finished, Running


@pytest.fixture
def start(tmp_path: Path) -> Any:
    """`start(words, out="out")` begins a batch; what still runs at the end of a test is killed.

    `out` is a name below the test's folder; `url="local"` gives it as an fsspec URL.
    """
    running: list[Running] = []

    def begin(*words: object, out: str = "out", url: str = "") -> Running:
        place = f"{url}://{tmp_path / out}" if url else tmp_path / out
        running.append(Running(place, (*words, *QUICK)))
        return running[-1]

    yield begin
    for one in running:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def batch(start: Any) -> Callable[..., Finished]:
    """`batch(words, out="out")` runs a batch to its end."""
    return lambda *words, out="out": start(*words, out=out).finish()


@pytest.fixture
def video(tmp_path: Path) -> Callable[[str], Path]:
    """`video("a")`: the rendered clip under that name, with bytes of its own behind the last box."""

    def make(name: str) -> Path:
        path = tmp_path / "videos" / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        note = name.encode()
        shutil.copyfile(RENDERED, path)
        with path.open("ab") as stream:
            stream.write((8 + len(note)).to_bytes(4, "big") + b"free" + note)
        return path

    return make
