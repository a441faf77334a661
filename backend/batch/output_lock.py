"""One run at a time in one output folder, and a clean start: what a killed run left half-done is swept away.

May import stdlib, `backend.batch`, `backend.errors` and `backend.files`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from backend.batch.storage import STATE, LocalStorage, Storage, output_error
from backend.errors import MarionetError, OutputError, ServiceError
from backend.files import FolderLock

_LEASE: Final = f"{STATE}/lease.json"
_LEASE_S: Final = 120.0
_RENEW_S: Final = 30.0
_SETTLE_S: Final = 1.0


@contextmanager
def open_folder(storage: Storage) -> Iterator[None]:
    """Hold the output for this run. Raises OutputError when another run has it or it cannot be written."""
    with _locked(storage) if isinstance(storage, LocalStorage) else _leased(storage):
        _sweep(storage.scratch())
        yield


@contextmanager
def _locked(storage: LocalStorage) -> Iterator[None]:
    """A local folder: the system's own lock, which ends with its holder however that ends."""
    if storage.root.exists() and not storage.root.is_dir():
        raise OutputError(f"{storage.root} is a file", "Choose a folder with -o")
    try:
        storage.root.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(storage.root / STATE)
    except ServiceError as fault:
        text = f"Another batch is writing to {storage.root}, or it cannot be written"
        raise OutputError(text, "Wait for it, stop it, or choose another folder with -o") from fault
    except OSError as fault:
        raise output_error(storage.root, fault) from fault
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _leased(storage: Storage) -> Iterator[None]:
    """Anything else: a note with the holder's name and time, renewed while it works, void when it is old.

    Object stores have no lock; two runs that begin within the same second are told apart by reading the note again.
    """
    holder = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"
    raw = storage.read(_LEASE)
    with suppress(ValueError, KeyError, TypeError):
        note = json.loads(raw) if raw else {}
        if note and time.time() - float(note["time"]) < _LEASE_S:
            text = f"Another batch ({note['holder']}) is writing to {storage.address('')}"
            raise OutputError(text, f"Wait for it; a dead run's claim ends after {_LEASE_S:.0f} s")
    done = threading.Event()

    def renew() -> None:
        with suppress(MarionetError):
            storage.write(_LEASE, json.dumps({"holder": holder, "time": time.time()}).encode())

    def keep() -> None:
        while not done.wait(_RENEW_S):
            renew()

    storage.write(_LEASE, json.dumps({"holder": holder, "time": time.time()}).encode())
    time.sleep(_SETTLE_S)
    if holder not in (storage.read(_LEASE) or b"").decode():
        raise OutputError(f"Another batch took {storage.address('')} in the same moment", "Wait for it")
    keeper = threading.Thread(target=keep, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        storage.remove(_LEASE)


def _sweep(scratch: Path) -> None:
    """Remove attempts' own folders; checkpoints of solves stay, so that they go on."""
    for left in scratch.glob("task-*") if scratch.is_dir() else ():
        shutil.rmtree(left, ignore_errors=True)
