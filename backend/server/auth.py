"""Who may come in and which files may be read: token, CURVE keys with an allow-list, root folders. stdlib and zmq."""

from __future__ import annotations

import hmac
import json
import logging
import queue
import secrets
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
from zmq.utils import z85

from backend.errors import BadInputError, ServiceError
from backend.server.errors import RequestRefused
from backend.server.logs import RefusalLedger, log_event
from blender_addon.wire.connection_file import ConnectionFileError, check_private, write_private_file
from blender_addon.wire.windows_paths import network_host, share_of

ZAP_DOMAIN = "marionet"
SERVER_KEY_FILE = "server.key.json"
ALLOW_LIST_FILE = "allowed_clients.json"
_ZAP_ADDRESS = "inproc://zeromq.zap.01"
_Z85_KEY_CHARS = 40
PATH_PATIENCE_S = 2.0
# Threads that look at paths; those that a dead share holds stay until it answers.
_PATH_CHECKS = threading.BoundedSemaphore(4)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair as Z85 text."""

    public: str
    secret: str


def new_token() -> str:
    """A token of 256 random bits."""
    return secrets.token_hex(32)


def token_matches(token: str, offered: str) -> bool:
    """Compare in a time that does not tell how much of the token was right."""
    return hmac.compare_digest(token.encode(), offered.encode())


def new_key_pair() -> KeyPair:
    """A fresh CURVE key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def check_public_key(text: str) -> str:
    """Return a Z85 public key. Raises BadInputError when it is none."""
    try:
        z85.decode(text)  # type: ignore[no-untyped-call]
    except (ValueError, KeyError, IndexError) as fault:
        raise BadInputError(f"{text!r} is not a CURVE public key", "It has 40 characters of Z85") from fault
    if len(text) != _Z85_KEY_CHARS:
        raise BadInputError(f"{text!r} is not a CURVE public key", "It has 40 characters of Z85")
    return text


def write_server_keys(keys: KeyPair, keys_dir: Path) -> None:
    """Keep the server's key pair, readable by its owner only."""
    record = {"public_key": keys.public, "secret_key": keys.secret}
    write_private_file(keys_dir / SERVER_KEY_FILE, json.dumps(record, indent=2) + "\n")


def read_server_keys(keys_dir: Path) -> KeyPair:
    """The server's key pair. Raises ServiceError when there is none or others can read it."""
    path = keys_dir / SERVER_KEY_FILE
    try:
        check_private(path)
        record = json.loads(path.read_text(encoding="utf-8"))
        return KeyPair(record["public_key"], record["secret_key"])
    except FileNotFoundError as fault:
        raise ServiceError(f"There are no server keys in {keys_dir}", "Run: python -m backend keys create") from fault
    except ConnectionFileError as fault:
        raise ServiceError(str(fault)) from fault
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ServiceError(
            f"The server keys {path} cannot be read", "Make new ones: python -m backend keys create"
        ) from (fault)


class AllowList:
    """The clients' public keys by name, read again whenever the file changes: removing a key takes effect at once."""

    def __init__(self, keys_dir: Path) -> None:
        self.path = keys_dir / ALLOW_LIST_FILE
        self._stamp: tuple[int, int] = (0, 0)
        self._names: dict[str, str] = {}

    def name_of(self, public_key: str) -> str | None:
        """The client's name, None when the key is not on the list."""
        return self.clients().get(public_key)

    def has_name(self, name: str) -> bool:
        """Whether a client of this name is on the list."""
        return name in self.clients().values()

    def clients(self) -> dict[str, str]:
        """Names by public key; empty when the list is missing or cannot be read, which lets nobody in."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                names = json.loads(self.path.read_text(encoding="utf-8"))["clients"]
                self._names = {str(key): str(name) for name, key in names.items()}
                self._stamp = stamp
        except FileNotFoundError:
            self._names, self._stamp = {}, (0, 0)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            log_event("allow-list cannot be read: all clients are refused", logging.ERROR, path=str(self.path))
            self._names, self._stamp = {}, (0, 0)
        return self._names

    def write(self, names: dict[str, str]) -> None:
        """Replace the list: names by public key. The file reads the other way round, name first, as people do."""
        clients = {name: key for key, name in names.items()}
        write_private_file(self.path, json.dumps({"clients": clients}, indent=2) + "\n")


class ZapHandler:
    """Answers libzmq's question whether a CURVE key may connect (ZeroMQ RFC 27), in the server's own loop."""

    def __init__(self, context: zmq.Context[Any], allow_list: AllowList, ledger: RefusalLedger) -> None:
        self.socket = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(_ZAP_ADDRESS)
        self._allow_list = allow_list
        self._ledger = ledger

    def answer(self) -> None:
        """Judge one waiting question, if any."""
        try:
            frames = self.socket.recv_multipart(flags=zmq.NOBLOCK)
        except zmq.Again:
            return
        name = None
        if len(frames) == 7 and frames[2] == ZAP_DOMAIN.encode() and frames[5] == b"CURVE":
            public_key = z85.encode(frames[6])  # type: ignore[no-untyped-call]
            name = self._allow_list.name_of(public_key.decode())
        request = frames[1] if len(frames) > 1 else b""
        if name is None:
            self._ledger.add("key", "public key is not on the allow-list", frames[3].decode(errors="replace"))
            self.socket.send_multipart([b"1.0", request, b"400", b"", b"", b""])
        else:
            self.socket.send_multipart([b"1.0", request, b"200", b"", name.encode(), b""])


def path_within(
    path: str, roots: tuple[Path, ...], patience_s: float = PATH_PATIENCE_S, platform: str = sys.platform
) -> Path | None:
    """The file that `path` names, links followed, when it lies in one of `roots`; None when it does not.

    Raises RequestRefused if the disk does not answer in time: a lost network share must not stop the server.
    """
    answers: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
    if not _PATH_CHECKS.acquire(blocking=False):
        raise _no_answer(path)

    def look() -> None:
        try:
            answers.put(_resolve_within(path, roots, platform))
        finally:
            _PATH_CHECKS.release()

    threading.Thread(target=look, name="look at a path", daemon=True).start()
    try:
        return answers.get(timeout=patience_s)
    except queue.Empty:
        raise _no_answer(path) from None


def _resolve_within(path: str, roots: tuple[Path, ...], platform: str = sys.platform) -> Path | None:
    """As `path_within` says, without a time limit.

    A path that names another computer is resolved only where a root lies on that computer's share: on Windows the
    look alone would send this account's credentials to a stranger's machine.
    """
    if platform == "win32" and network_host(path):
        shares = {share_of(str(root)) for root in roots} - {""}
        if share_of(path) not in shares:
            return None
    try:
        resolved = Path(path).resolve()
        return resolved if any(resolved.is_relative_to(root.resolve()) for root in roots) else None
    except (OSError, RuntimeError, ValueError):
        return None


def _no_answer(path: str) -> RequestRefused:
    return RequestRefused(
        "bad_source", f"The disk of {path!r} does not answer", "Upload the video instead, or try later", 10.0
    )
