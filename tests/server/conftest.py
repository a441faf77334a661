"""A backend that the tests of one file share, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.harness import Backend, Peer, running


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("backend"), "--max-jobs", "8", "--max-frames", "5000") as backend:
        with Peer(backend.info) as peer:
            peer.wait_until_ready()
        yield backend


@pytest.fixture
def peer(backend: Backend) -> Iterator[Peer]:
    with Peer(backend.info) as peer:
        yield peer


@pytest.fixture(scope="module")
def own_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """The product's own backend, ready."""
    backend = Backend(tmp_path_factory.mktemp("backend"), program=("-m", "backend", "serve")).start()
    try:
        with Peer(backend.info) as peer:
            peer.wait_until_ready()
        yield backend
    finally:
        code = backend.stop()
    assert code == 0
