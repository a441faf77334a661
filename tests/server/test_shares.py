"""One client's share of the queue, of the results that are kept, of the space for uploads, and of the workers' time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.server.handlers import MAX_LISTED, _listed, _that_fits
from backend.server.job_store import JobRecord, JobStore
from backend.server.jobs import Job, JobTable
from backend.server.upload_cache import UploadCache
from blender_addon.wire import messages as wire
from blender_addon.wire.codec import FROM_SERVER, decode, encode
from blender_addon.wire.messages import SolveOptions, Source
from tests.server.harness import Peer, running, script, wait_for
from tests.server.test_security import Studio


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    studio = Studio(folder)
    options = ("--keys", str(studio.keys), "--root", str(studio.plates), "--max-jobs", "16", "--client-uploads", "1M")
    with running(folder / "backend", *options) as studio.backend:
        yield studio


def submit(peer: Peer, video: Path) -> wire.Accepted | wire.Refused:
    reply = peer.submit(uuid.uuid4().hex, video)
    assert isinstance(reply, wire.Accepted | wire.Refused)
    return reply


def test_one_client_does_not_take_all_places_and_the_other_waits_for_one_job_only(studio: Studio) -> None:
    slow = script(studio.plates, "slow.json", frames=40, pace_s=0.02)
    with Peer(studio.info("anna")) as anna, Peer(studio.info("ben")) as ben:
        anna.wait_until_ready()
        replies = [submit(anna, slow) for _ in range(6)]
        assert [isinstance(reply, wire.Accepted) for reply in replies] == [True] * 4 + [False] * 2
        refused = replies[-1]
        assert isinstance(refused, wire.Refused)
        assert refused.code == "queue_full"
        assert refused.retry_after_s
        wait_for(lambda: any(job.state not in ("queued", "receiving") for job in jobs_of(anna)), "Anna's first job")
        mine = submit(ben, script(studio.plates, "quick.json", frames=5))
        assert isinstance(mine, wire.Accepted)
        assert mine.job.position <= 1, "before all of Anna's that wait"
        assert isinstance(ben.until_end(mine.job.job_id)[1], wire.Done)
        states = [job.state for job in anna.ask(wire.ListJobs()).jobs]
        assert states.count("queued") >= 2
        for job in anna.ask(wire.ListJobs()).jobs:
            anna.ask(wire.Cancel(job.job_id))
        wait_for(lambda: all(job.state in ("cancelled", "done") for job in jobs_of(anna)), "their end")


def jobs_of(peer: Peer) -> tuple[wire.JobInfo, ...]:
    jobs = peer.ask(wire.ListJobs()).jobs
    assert isinstance(jobs, tuple)
    return jobs


def test_one_client_does_not_take_all_the_upload_space(studio: Studio) -> None:
    def announce(peer: Peer, size: int) -> object:
        return peer.ask(wire.Submit(uuid.uuid4().hex, Source("upload", "", "v.mp4", size, uuid.uuid4().hex * 2)))

    with Peer(studio.info("anna")) as anna, Peer(studio.info("ben")) as ben:
        assert isinstance(announce(anna, 700_000), wire.Accepted)
        refused = announce(anna, 700_000)
        assert isinstance(refused, wire.Refused)
        assert (refused.code, refused.retry_after_s) == ("queue_full", 10.0)
        assert isinstance(announce(anna, 300_000), wire.Accepted)
        assert isinstance(announce(ben, 700_000), wire.Accepted)


def test_space_that_was_promised_is_not_promised_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault is injected: a disk with little room."""
    from backend.server.config import Limits
    from backend.server.errors import RequestRefused
    from backend.server.job_scheduler import JobScheduler

    store = JobStore(tmp_path / "jobs", UploadCache(tmp_path / "uploads", 0.0, 0))
    book = JobScheduler(JobTable(store), store, None, Limits(free_disk_bytes=1000))  # type: ignore[arg-type]
    monkeypatch.setattr(store, "free_bytes", lambda: 2500)

    def add(owner: str) -> None:
        source = Source("upload", "", "v.mp4", 800, "0" * 64)
        book.add(JobRecord(uuid.uuid4().hex, owner, "receiving", source, SolveOptions(), 0.0))

    add("anna")
    with pytest.raises(RequestRefused) as refused:
        add("ben")
    assert refused.value.code == "disk"


def test_clients_take_turns(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs", UploadCache(tmp_path / "uploads", 0.0, 0))
    names = {}
    for place, owner in enumerate("aaabab c".replace(" ", "")):
        source = Source("path", "/v.mp4", "v.mp4")
        record = JobRecord(uuid.uuid4().hex, owner, "queued", source, SolveOptions(), float(place))
        store.save(record)
        names[record.job_id] = f"{owner}{place}"
    register = JobTable(store)
    assert [names[job_id] for job_id in register.turns()] == ["a0", "b3", "c6", "a1", "b5", "a2", "a4"]
    taken = [names[register.take_next().record.job_id] for _ in range(3)]
    assert taken == ["a0", "b3", "c6"], "nobody runs for long: who had a worker last waits"
    assert [names[job_id] for job_id in register.turns()] == ["a1", "b5", "a2", "a4"]


def test_alone_on_the_own_machine_the_share_is_everything(tmp_path: Path) -> None:
    with running(tmp_path / "backend", "--max-jobs", "8") as backend, Peer(backend.info) as peer:
        video = script(tmp_path, frames=100, pace_s=0.02)
        replies = [submit(peer, video) for _ in range(9)]
        assert [isinstance(reply, wire.Accepted) for reply in replies] == [True] * 8 + [False]


def test_an_upload_is_listed_however_many_jobs_ended_since() -> None:
    """A client goes on by the list where its parts crossed with a lost connection."""

    def job(number: int, state: str) -> Job:
        return Job(JobRecord(f"{number:032x}", "local", state, wire.Source("path", "/a"), wire.SolveOptions(), 0.0))

    jobs = [job(0, "receiving"), *(job(number, "done") for number in range(1, 300))]
    listed = [one.record.job_id for one in _listed(jobs)]
    assert listed == [jobs[0].record.job_id, *(one.record.job_id for one in jobs[45:])]
    assert len(listed) == MAX_LISTED
    assert _listed(jobs[:5]) == jobs[:5]


def test_a_list_of_long_names_is_one_that_a_client_can_read() -> None:
    """A character that is not ASCII takes six bytes in a header."""
    long = wire.JobInfo(
        "a" * 32, "cancelled", "長" * 200, 1.7e9, 256, 10, 4_000, 1 << 40, "w10", "details", 9_999, 9_999
    )
    jobs = _that_fits((long,) * MAX_LISTED)
    assert len(decode(encode(jobs, "9" * 10, "9" * 10), FROM_SERVER).message.jobs) == MAX_LISTED
    assert _that_fits((long,)).jobs == (long,), "one name is told whole"
