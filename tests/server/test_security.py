"""Who does not get in, and what they learn: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from blender_addon.wire import messages as wire
from blender_addon.wire.codec import encode
from blender_addon.wire.connection_file import ConnectionInfo, read_connection_file
from tests.server.harness import REPOSITORY, Backend, Peer, environment, link_file, running, script, wait_for


def command_line(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backend", *words]
    return subprocess.run(
        command, env=environment(), cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
    )


def keys(folder: Path, *words: str) -> str:
    done = command_line("keys", "--dir", str(folder), *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Studio:
    """A backend with keys: Anna and Ben are on the list."""

    def __init__(self, folder: Path) -> None:
        self.keys = folder / "keys"
        self.plates = folder / "plates"
        self.plates.mkdir()
        keys(self.keys, "create")
        self.backend: Backend | None = None
        for name in ("anna", "ben"):
            keys(self.keys, "add-client", name, "--endpoint", "tcp://127.0.0.1:1", "--output", str(folder / name))
        self._folder = folder

    def info(self, name: str) -> ConnectionInfo:
        """The client's own file, with the address that the test's server got."""
        assert self.backend is not None
        return replace(read_connection_file(self._folder / name), endpoint=self.backend.info.endpoint)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    studio = Studio(folder)
    options = ("--bind", "tcp://0.0.0.0:0", "--keys", str(studio.keys), "--root", str(studio.plates))
    with running(folder / "backend", *options) as studio.backend:
        yield studio


def silence(info: ConnectionInfo, patience_s: float = 1.0) -> None:
    """No answer of any kind to a hello, however long it waits."""
    with Peer(info, hello=False) as peer:
        peer.say(wire.Hello(info.token))
        assert peer.hear(patience_s) is None


def test_wrong_token_gets_in_nowhere_and_learns_nothing(backend: Backend) -> None:
    info = backend.info
    for token in ("", "0" * 64, info.token[:-1], info.token.upper(), info.token + "0"):
        with Peer(info, hello=False) as peer:
            assert peer.ask(wire.Hello(token)) == wire.Refused("denied", "Denied")
            assert peer.ask(wire.ListJobs()) == wire.Refused("hello_first", "Say hello first")
            assert peer.ask(wire.Shutdown()) == wire.Refused("hello_first", "Say hello first")
    assert backend.process is not None
    assert backend.process.poll() is None


def test_a_stranger_is_answered_five_times_and_then_no_more(backend: Backend) -> None:
    with Peer(backend.info, hello=False) as peer:
        for _ in range(5):
            assert peer.ask(wire.Hello("wrong")) == wire.Refused("denied", "Denied")
        peer.say(wire.Hello("wrong"))
        assert peer.hear(0.5) is None


def test_a_strangers_nonsense_is_not_explained(backend: Backend) -> None:
    with Peer(backend.info, hello=False) as peer:
        peer.socket.send_multipart([b"MRNT\1\0\0\0", b"{"])
        reply = peer.hear()
        assert reply is not None
        assert reply.message == wire.Refused("denied", "Denied")


def test_the_token_is_not_in_the_log(backend: Backend) -> None:
    assert backend.info.token not in backend.log_file.read_text()


def test_client_on_the_list_works_encrypted(studio: Studio) -> None:
    with Peer(studio.info("anna")) as anna:
        anna.wait_until_ready()
        job_id = uuid.uuid4().hex
        assert isinstance(anna.submit(job_id, script(studio.plates, frames=5)), wire.Accepted)
        assert isinstance(anna.until_end(job_id)[1], wire.Done)
        refused = anna.ask(wire.Shutdown())
        assert refused.code == "not_local"
        with Peer(studio.info("ben")) as ben:
            assert ben.ask(wire.Watch(job_id)).code == "unknown_job"
            assert ben.ask(wire.ListJobs()) == wire.JobList(())


def test_wrong_token_beside_a_right_key_is_denied(studio: Studio) -> None:
    with Peer(replace(studio.info("anna"), token="0" * 64), hello=False) as peer:
        assert peer.ask(wire.Hello("0" * 64)) == wire.Refused("denied", "Denied")


def test_key_that_is_not_on_the_list(studio: Studio) -> None:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    silence(replace(studio.info("anna"), client_public_key=public, client_secret_key=secret))
    assert studio.backend is not None
    wait_for(lambda: studio.backend and studio.backend.log("refused"), "the refusal in the log")
    assert any(line["code"] == "key" for line in studio.backend.log("refused"))


def test_wrong_server_key(studio: Studio) -> None:
    silence(replace(studio.info("anna"), server_public_key=zmq.curve_keypair()[0].decode()))


def test_no_encryption_no_entry(studio: Studio) -> None:
    assert studio.backend is not None
    silence(ConnectionInfo(studio.backend.info.endpoint, studio.backend.info.token))


def test_public_key_of_another_without_its_secret(studio: Studio) -> None:
    _, secret = (key.decode() for key in zmq.curve_keypair())
    silence(replace(studio.info("anna"), client_secret_key=secret))


def test_removed_client_is_out_at_once(studio: Studio) -> None:
    keys(studio.keys, "add-client", "carl", "--endpoint", "tcp://127.0.0.1:1", "--output", str(studio.keys / "carl"))
    info = replace(read_connection_file(studio.keys / "carl"), endpoint=studio.info("anna").endpoint)
    with Peer(info) as carl:
        assert isinstance(carl.ask(wire.ListJobs()), wire.JobList)
        keys(studio.keys, "remove", "carl")
        assert carl.ask(wire.ListJobs()) == wire.Refused("denied", "Denied")
        assert carl.ask(wire.Hello()) == wire.Refused("denied", "Denied")
    silence(info)


def test_paths_outside_the_roots(studio: Studio, tmp_path: Path) -> None:
    outside = script(tmp_path, "secret.json", frames=5)
    link_file(studio.plates / "link.json", outside)
    (studio.plates / "nested").mkdir(exist_ok=True)
    tricks = [
        outside,
        Path("/etc/passwd"),
        studio.plates / "link.json",
        studio.plates / ".." / "keys" / "server.key.json",
        Path(f"{studio.plates}x/video.json"),
        studio.plates / "nested" / ".." / ".." / "keys" / "server.key.json",
    ]
    with Peer(studio.info("anna")) as anna:
        for path in tricks:
            reply = anna.submit(uuid.uuid4().hex, path)
            assert isinstance(reply, wire.Refused), path
            assert reply.code == "outside_roots"
            assert str(tmp_path) not in reply.message


def test_network_address_without_keys_is_refused(tmp_path: Path) -> None:
    done = command_line("serve", "--bind", "tcp://0.0.0.0:0", "--data-dir", str(tmp_path))
    assert done.returncode == 2
    assert "keys create" in done.stderr


def test_network_address_without_allowed_clients_is_refused(tmp_path: Path) -> None:
    keys(tmp_path / "keys", "create")
    options = ("--bind", "tcp://0.0.0.0:0", "--keys", str(tmp_path / "keys"), "--data-dir", str(tmp_path / "data"))
    done = command_line("serve", *options)
    assert done.returncode == 8
    assert "add-client" in done.stderr


def test_keys_are_private_and_not_overwritten(tmp_path: Path) -> None:
    keys(tmp_path, "create")
    for name in ("anna", "ben"):
        keys(tmp_path, "add-client", name, "--endpoint", "tcp://gpu:5570", "--output", str(tmp_path / f"{name}.json"))
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert command_line("keys", "--dir", str(tmp_path), "create").returncode == 2
    assert command_line("keys", "--dir", str(tmp_path), "allow", "eve", "not a key").returncode == 2
    assert (
        command_line(
            "keys", "--dir", str(tmp_path), "allow", "anna", "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
        ).returncode
        == 2
    )
    assert keys(tmp_path, "list").count("\n") == 2
    secret = read_connection_file(tmp_path / "anna.json").client_secret_key
    assert secret not in keys(tmp_path, "list")


def test_server_keys_that_others_can_read_are_refused(tmp_path: Path) -> None:
    keys(tmp_path / "keys", "create")
    keys(tmp_path / "keys", "add-client", "anna", "--endpoint", "tcp://gpu:5570", "--output", str(tmp_path / "a.json"))
    os.chmod(tmp_path / "keys" / "server.key.json", 0o644)
    options = ("--bind", "tcp://0.0.0.0:0", "--keys", str(tmp_path / "keys"), "--data-dir", str(tmp_path / "data"))
    done = command_line("serve", *options)
    assert done.returncode == 8
    assert "chmod 600" in done.stderr


def test_rate_is_bounded_per_client(tmp_path: Path) -> None:
    with (
        running(tmp_path / "backend", "--rate", "50") as backend,
        Peer(backend.info) as greedy,
        Peer(backend.info) as modest,
    ):
        sent = [greedy.say(wire.Ping()) for _ in range(400)]
        replies = [greedy.hear() for _ in sent]
        refused = [reply for reply in replies if reply and isinstance(reply.message, wire.Refused)]
        assert len(refused) >= 250
        assert {reply.message.code for reply in refused} == {"too_fast"}
        assert {reply.message.retry_after_s for reply in refused} == {1.0}
        assert sorted(int(reply.request) for reply in replies if reply) == sorted(map(int, sent))
        assert isinstance(modest.ask(wire.Ping()), wire.Pong)
        assert modest.status().refusals["too_fast"] == len(refused)


def test_oversize_frames_do_not_reach_the_server(backend: Backend) -> None:
    """libzmq drops the connection; the server's memory does not see the frame, other clients do not notice."""
    before = backend.memory_bytes()
    with Peer(backend.info) as quiet:
        for _ in range(5):
            with Peer(backend.info) as peer:
                peer.socket.send_multipart([*encode(wire.Ping(), "1"), bytes(64 << 20)])
                assert peer.hear(0.3) is None
        assert isinstance(quiet.ask(wire.Ping()), wire.Pong)
    assert backend.memory_bytes() - before < 32 << 20


def test_keys_on_loopback_without_roots_read_no_paths(tmp_path: Path) -> None:
    """A tunnel or a shared machine: the client is not the server's user, whatever the address."""
    (tmp_path / "studio").mkdir()
    studio = Studio(tmp_path / "studio")
    with running(tmp_path / "backend", "--keys", str(studio.keys)) as studio.backend:
        assert studio.backend.info.endpoint.startswith("tcp://127.0.0.1:")
        with Peer(studio.info("anna")) as anna:
            for path in (script(tmp_path, frames=5), Path("/etc/passwd"), studio.keys / "server.key.json"):
                reply = anna.submit(uuid.uuid4().hex, path)
                assert isinstance(reply, wire.Refused)
                assert reply.code == "outside_roots"
