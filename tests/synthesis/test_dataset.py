from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from backend.errors import BadInputError, Cancelled
from backend.types import CancelToken
from tests.server.harness import kill_family

SIZE, COUNT, SHARD = 96, 9, 3


def command(output, *extra):
    return [sys.executable, "-m", "backend", "synthesize", "-o", str(output), "--count", str(COUNT), "--seed", "4",
            "--size", str(SIZE), "--shard-size", str(SHARD), "--workers", "1", "--quiet", *extra]  # fmt: skip


def request(output, seed=4, count=COUNT):
    from backend.synthesis.dataset import DatasetRequest
    from backend.synthesis.generate import RenderSettings

    return DatasetRequest(output, count, RenderSettings(seed=seed, size_px=SIZE), shard_size=SHARD, workers=1)


def shards(folder):
    from backend.synthesis.dataset import read_dataset

    return list(read_dataset(folder))


def same(left, right):
    return len(left) == len(right) and all(
        np.array_equal(a.data, b.data) and all(np.array_equal(a.truth[k], b.truth[k]) for k in a.truth)
        for a, b in zip(left, right, strict=True)
    )


@pytest.fixture(scope="session")
def dataset(renderer, tmp_path_factory):
    """Nine images without mocap or assets, made in one go (`renderer` skips where OpenGL is missing)."""
    from backend.synthesis.dataset import make_dataset

    folder = tmp_path_factory.mktemp("renders")
    seen = []
    assert make_dataset(request(folder), seen.append, CancelToken()) == COUNT
    assert (seen[-1].done, seen[-1].total) == (COUNT, COUNT)
    return folder


def test_every_image_has_its_truth(dataset):
    rows = shards(dataset)
    assert [len(shard) for shard in rows] == [3, 3, 3]
    for shard in rows:
        for row in range(len(shard)):
            assert shard.image(row).shape == (SIZE, SIZE, 3)
        truth = shard.truth
        np.testing.assert_allclose(np.linalg.norm(truth["rotations_wxyz"], axis=-1), 1.0, atol=1e-5)
        assert truth["blazepose33_camera_m"].shape == (3, 33, 3)
        # the 17 joints are the same body as the 24: mid-hip is the pelvis
        np.testing.assert_allclose(truth["h36m17_camera_m"][:, 0], truth["joints_camera_m"][:, 0])
        pixels = np.einsum("nij,nkj->nki", truth["intrinsics"], truth["joints_camera_m"])
        pixels = pixels[..., :2] / pixels[..., 2:]
        assert ((pixels > -0.2 * SIZE) & (pixels < 1.2 * SIZE)).all()
        assert truth["visible33"].dtype == bool
        assert truth["visible33"].any()


def test_a_complete_dataset_is_left_alone(dataset):
    from backend.synthesis.dataset import make_dataset

    before = {path: path.stat().st_mtime_ns for path in dataset.glob("shard_*.npz")}
    assert make_dataset(request(dataset), lambda _: None, CancelToken()) == 0
    assert {path: path.stat().st_mtime_ns for path in dataset.glob("shard_*.npz")} == before


def test_other_settings_are_refused(dataset):
    from backend.synthesis.dataset import make_dataset

    with pytest.raises(BadInputError, match="settings"):
        make_dataset(request(dataset, seed=5), lambda _: None, CancelToken())


def test_a_damaged_shard_is_refused_by_readers_and_made_again(dataset, tmp_path):
    from backend.synthesis.dataset import make_dataset, shard_path
    from backend.synthesis.truth import read_shard

    for name in ("dataset.json", "poses.npz", *(f"shard_{n:05d}.npz" for n in range(3))):
        (tmp_path / name).write_bytes((dataset / name).read_bytes())
    broken = shard_path(tmp_path, 1)
    broken.write_bytes(broken.read_bytes()[:5000])
    with pytest.raises(BadInputError, match="shard_00001"):
        shards(tmp_path)
    assert make_dataset(request(tmp_path), lambda _: None, CancelToken()) == SHARD
    assert same(shards(tmp_path), shards(dataset)), "the same seed gives the same bytes"
    foreign = tmp_path / "foreign.npz"
    np.savez(foreign, format=np.array("other"))
    with pytest.raises(BadInputError, match="another format"):
        read_shard(foreign)


def test_a_cancelled_run_stops_and_leaves_whole_shards_only(renderer, tmp_path):
    from backend.synthesis.dataset import make_dataset

    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        make_dataset(request(tmp_path, count=300), lambda _: None, cancel)
    assert not list(tmp_path.glob("*.part"))
    assert len(list(tmp_path.glob("shard_*.npz"))) < 100


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_images(dataset, tmp_path):
    process = subprocess.Popen(command(tmp_path), start_new_session=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "shard_00000.npz").exists() and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before its first shard"
        time.sleep(0.02)
    kill_family(process)
    assert len(list(tmp_path.glob("shard_*.npz"))) < 3
    sheet = tmp_path / "sheet.png"
    subprocess.run(command(tmp_path, "--sheet", str(sheet)), check=True, timeout=240)
    assert same(shards(tmp_path), shards(dataset))
    assert sheet.stat().st_size > 1000


@pytest.mark.parametrize("bad", [["--size", "10"], ["--random-poses", "2"], ["--assets", "/nowhere"]])
def test_bad_options_end_with_a_message(model, tmp_path, bad):
    done = subprocess.run(command(tmp_path, *bad), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert bad[1] in done.stderr
