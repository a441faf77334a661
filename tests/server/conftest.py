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
