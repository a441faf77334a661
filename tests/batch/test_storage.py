"""Results appear whole or not at all, on a disk and behind an fsspec URL alike; a disk that refuses is named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from backend.batch.output_lock import open_folder
from backend.batch.storage import LocalStorage, Storage, UrlStorage, open_storage, output_error
from backend.errors import BadInputError, OutputError

KINDS = ["folder", "url"]


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(str(tmp_path / "out"))
    pytest.importorskip("fsspec", reason="the extra `batch` is not installed")
    return open_storage(f"local://{tmp_path}/out")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "made.bin"
    path.write_bytes(b"content")
    return path


def test_the_kinds_are_what_they_are_meant_to_be(tmp_path: Path) -> None:
    assert isinstance(open_storage(str(tmp_path)), LocalStorage)
    assert isinstance(open_storage(f"file://{tmp_path}"), LocalStorage)
    assert isinstance(open_storage("memory://out"), UrlStorage)
    with pytest.raises(BadInputError, match="cannot be reached"):
        open_storage("carrier-pigeon://roof/out")


def test_put_get_read_write_size_names_remove(storage: Storage, made: Path, tmp_path: Path) -> None:
    assert storage.read("a/b.bin") is None
    assert storage.size("a/b.bin") is None
    assert storage.names("a") == []
    storage.put(made, "a/b.bin")
    assert not made.exists()
    storage.write("a/c.txt", b"old")
    storage.write("a/c.txt", b"new!")
    storage.get("a/b.bin", tmp_path / "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == b"content"
    assert (storage.read("a/c.txt"), storage.size("a/c.txt")) == (b"new!", 4)
    assert storage.names("a") == ["b.bin", "c.txt"]
    storage.remove("a")
    storage.remove("a")
    assert storage.size("a/b.bin") is None


def test_put_replaces(storage: Storage, made: Path) -> None:
    storage.write("b.bin", b"what was there")
    storage.put(made, "b.bin")
    assert storage.read("b.bin") == b"content"


def test_a_folder_in_the_place_of_an_output_is_a_named_error(storage: Storage, made: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "b.bin" / "inside").mkdir(parents=True)
    with pytest.raises(OutputError):
        storage.put(made, "b.bin")
    assert (tmp_path / "out" / "b.bin" / "inside").is_dir()
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".b")] or isinstance(
        storage, UrlStorage
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EACCES, "in use or protected"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_what_the_system_says_is_named(number: int, words: str) -> None:
    fault = output_error("hero.fbx", OSError(number, os.strerror(number)))
    assert words in str(fault)
    assert "hero.fbx" in fault.message
    assert fault.remedy


def test_one_run_at_a_time(storage: Storage) -> None:
    with open_folder(storage), pytest.raises(OutputError, match="Another batch"), open_folder(storage):
        pass
    with open_folder(storage):
        pass


def test_half_work_of_a_killed_run_is_swept_away_and_checkpoints_stay(storage: Storage) -> None:
    for name in ("task-1-2-3", "solve-abc"):
        (storage.scratch() / name).mkdir(parents=True)
        (storage.scratch() / name / "file").write_bytes(b"half")
    with open_folder(storage):
        assert [path.name for path in storage.scratch().iterdir()] == ["solve-abc"]


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="is a file"), open_folder(open_storage(str(tmp_path / "out"))):
        pass
