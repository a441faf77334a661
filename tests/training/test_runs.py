"""Whole training runs as processes: killed and resumed, on two ranks, fine-tuned, refused."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from backend.embedding.tower_weights import read_towers  # noqa: E402
from backend.embedding.towers_torch import TowerSizes  # noqa: E402
from backend.training.checkpoint import CheckpointError, load_checkpoint, new_state, save_checkpoint  # noqa: E402
from backend.training.trainer import TrainerSettings  # noqa: E402
from tests.server.harness import kill_family  # noqa: E402

_SHIPPED = Path(__file__).resolve().parents[2] / "backend" / "weights" / "towers.safetensors"
_ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
_RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from backend.embedding.towers_torch import TowerSizes
from backend.training.run import TrainRequest, run_training, use_threads
from backend.training.trainer import TrainerSettings

if __name__ == "__main__":
    use_threads(1)
    mocap, output, steps, batch, *start = sys.argv[1:]
    settings = TrainerSettings(
        steps=int(steps), batch=int(batch), candidates=64, bank=400, warmup=10, replay=12, average=0.98, rate=2e-3
    )
    request = TrainRequest(
        Path(mocap), Path(output), settings, TowerSizes(32, 32, 8), checkpoint_steps=25, report_steps=5,
        start=Path(start[0]) if start else None,
    )
    done = run_training(request, lambda now, begun: None, print)
    print("step", done.step, "written", done.written)
"""


def _command(mocap: Path, output: Path, steps: int, *extra: str, batch: int = 32) -> list[str]:
    script = output.parent / "run_small.py"
    script.write_text(_RUN)
    return [sys.executable, str(script), str(mocap), str(output), str(steps), str(batch), *extra]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=_ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _curve(folder: Path) -> np.ndarray:
    with (folder / "losses.csv").open() as stream:
        return np.array([[float(value) for value in row] for row in csv.reader(stream)])


@pytest.fixture(scope="module")
def undisturbed(mocap, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "undisturbed"
    _run(_command(mocap, folder, 200))
    return folder


def test_a_run_leaves_weights_losses_plot_and_tensorboard_curves(undisturbed):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert read_towers(undisturbed / "towers.safetensors").embedding_size == 8
    assert (undisturbed / "losses.png").stat().st_size > 1000
    curve = _curve(undisturbed)
    events = EventAccumulator(str(undisturbed))
    events.Reload()
    points = events.Scalars("loss/joints_mm")
    assert [point.step for point in points] == curve[:, 0].astype(int).tolist()
    assert [point.value for point in points] == pytest.approx(curve[:, 2].tolist(), rel=1e-4)
    assert curve[-8:, 2].mean() < 0.7 * curve[0, 2]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_curve(mocap, undisturbed, tmp_path):
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        _command(mocap, folder, 200), start_new_session=True, env=_ENVIRONMENT, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while (not (folder / "losses.csv").exists() or len(_curve(folder)) < 17) and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    kill_family(process)
    killed_at = int(_curve(folder)[-1, 0])
    state = new_state(TowerSizes(32, 32, 8), TrainerSettings(bank=400))
    kept = load_checkpoint(state, folder / "checkpoint.pt").step
    assert 0 < kept <= killed_at < 200, "the checkpoint is whole and older than the kill"
    assert f"going on at step {kept}" in _run(_command(mocap, folder, 200))
    curve, other = _curve(folder), _curve(undisturbed)
    assert curve[:, 0].tolist() == other[:, 0].tolist(), "every step once"
    # the loss after the kill goes on where it was: no jump back to the start, and the same end within the run's noise
    after = curve[curve[:, 0] > kept]
    assert after[:4, 2].mean() < 0.75 * curve[:2, 2].mean()
    assert after[-10:, 2].mean() == pytest.approx(other[-10:, 2].mean(), rel=0.12)


@pytest.mark.slow
def test_two_ranks_share_their_gradients_and_one_of_them_writes(mocap, undisturbed, tmp_path):
    command = _command(mocap, tmp_path / "ranks", 60, batch=16)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command[1:]]
    out = _run(launch)
    assert sorted(line.split()[-1] for line in out.splitlines() if line.startswith("step 60")) == ["False", "True"]
    curve = _curve(tmp_path / "ranks")
    assert curve[:, 0].tolist() == list(range(5, 65, 5)), "one process wrote"
    assert curve[-3:, 2].mean() < 0.9 * curve[0, 2]
    assert read_towers(tmp_path / "ranks" / "towers.safetensors").provenance["trained"] == "60 steps of 32 windows"


_RANK = """
import sys
import torch
from backend.embedding.features import CONTEXT_FEATURES, FRAME_FEATURES, WINDOW
from backend.embedding.towers_torch import TowerSizes
from backend.training.batch import TrainingBatch
from backend.training.objective import Objective
from backend.training.parallel import join_ranks
from backend.training.trainer import TrainerSettings, new_state

torch.set_num_threads(1)


def measure(ranks):
    settings = TrainerSettings()
    state = new_state(TowerSizes(16, 16, 4), settings)
    objective = ranks.joined(Objective(state.image, state.pose, settings, False))
    torch.manual_seed(10 + ranks.rank)
    batch = TrainingBatch(
        torch.randn(8, WINDOW, FRAME_FEATURES), torch.randn(8, CONTEXT_FEATURES), torch.randn(8, 17, 3),
        torch.randn(8, 17, 3), torch.randn(8, 24, 3, 3), torch.randn(8, 3), torch.randn(8, 7),
        torch.eye(3).expand(8, 3, 3),
    )
    objective(batch, torch.randn(20, 17, 3)).loss.backward()
    shared = state.image.entry.linear.weight.grad.clone()
    alone = new_state(TowerSizes(16, 16, 4), settings)
    torch.manual_seed(10 + ranks.rank)
    again = TrainingBatch(
        torch.randn(8, WINDOW, FRAME_FEATURES), torch.randn(8, CONTEXT_FEATURES), torch.randn(8, 17, 3),
        torch.randn(8, 17, 3), torch.randn(8, 24, 3, 3), torch.randn(8, 3), torch.randn(8, 7),
        torch.eye(3).expand(8, 3, 3),
    )
    Objective(alone.image, alone.pose, settings, False)(again, torch.randn(20, 17, 3)).loss.backward()
    own = alone.image.entry.linear.weight.grad
    torch.save((shared, own, ranks.agreed(float(ranks.rank + 7))), f"{sys.argv[1]}/rank{ranks.rank}.pt")


with join_ranks("cpu") as ranks:
    measure(ranks)
"""


@pytest.mark.slow
def test_gradients_are_the_mean_over_ranks(tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(_RANK)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    _run([*launch, str(script), str(tmp_path)])
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    assert not torch.allclose(first[1], second[1], rtol=0.01), "the ranks had data of their own"
    mean = (first[1] + second[1]) / 2
    assert torch.allclose(first[0], mean, atol=1e-6)
    assert torch.equal(first[0], second[0])
    assert first[2] == second[2] == 7.0, "rank 0's clock counts"


def test_another_run_begins_with_its_towers(mocap, undisturbed, tmp_path):
    out = _run(_command(mocap, tmp_path / "tuned", 20, str(undisturbed / "checkpoint.pt")))
    assert "beginning with the towers" in out
    assert _curve(tmp_path / "tuned")[0, 2] < 0.75 * _curve(undisturbed)[0, 2]


def _small(**changes: float) -> tuple[TowerSizes, TrainerSettings]:
    return TowerSizes(width=16, hidden=16, embedding=4), TrainerSettings(bank=400, **changes)


@pytest.mark.parametrize(
    ("sizes", "changes", "words"),
    [
        (TowerSizes(width=24, hidden=16, embedding=4), {}, "width 16; this run has width 24"),
        (TowerSizes(width=16, hidden=16, embedding=4), {"margin_unit_m": 0.2}, "margin_unit_m 0.1"),
        (TowerSizes(width=16, hidden=16, embedding=4), {"seed": 3}, "seed 0"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused(tmp_path, sizes, changes, words):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(new_state(*_small()), path)
    other = new_state(sizes, TrainerSettings(bank=400, **changes))
    with pytest.raises(CheckpointError, match="another configuration") as caught:
        load_checkpoint(other, path)
    assert words in str(caught.value)


def test_damaged_and_foreign_checkpoints_are_named(tmp_path):
    state, path = new_state(*_small()), tmp_path / "checkpoint.pt"
    save_checkpoint(state, path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(state, path)
    torch.save({"something": 1}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of a training run"):
        load_checkpoint(state, path)
    with pytest.raises(CheckpointError, match="missing"):
        load_checkpoint(state, tmp_path / "nothing.pt")


def test_the_command_refuses_with_a_message_and_exit_code(mocap, undisturbed):
    command = [sys.executable, "-m", "backend", "train", "--mocap", str(mocap), "-o", str(undisturbed), "--steps", "5"]
    done = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, timeout=200, env=_ENVIRONMENT, check=False
    )
    assert done.returncode == CheckpointError.exit_code, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["code"] == "checkpoint"


def test_half_precision_only_where_it_pays():
    from backend.training.parallel import half_precision_pays

    flags = torch.cpu.get_capabilities()
    assert half_precision_pays("cpu") == any(flags.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@pytest.mark.slow
def test_the_command_trains_on_renders(mocap, rendered_videos, tmp_path):
    """From the command line to weights that say what they were trained on; both networks' answers are kept."""
    output = tmp_path / "tuned"
    words = ["train", "--mocap", str(mocap), "-o", str(output), "--steps", "2", "--batch", "24", "--rate", "3e-4"]
    words += ["--renders", str(rendered_videos), "--renders-share", "0.5", "--report-steps", "1"]
    command = [sys.executable, "-m", "backend", *words, "--start", str(_SHIPPED)]
    said = _run(command)
    assert "frames of renders, 50 % of each batch" in said
    origin = read_towers(output / "towers.safetensors").provenance
    assert origin["renders"] == f"50 % from {rendered_videos.name}"
    assert {path.name for path in rendered_videos.glob("landmarks_*.npz")} == {
        "landmarks_pose_full.npz",
        "landmarks_pose_heavy.npz",
    }
    curve = _curve(output)
    assert len(curve) == 2
    assert (curve[:, 2] < 250).all(), "it begins with towers that know something"


def test_the_pose_tower_is_kept(mocap, tmp_path):
    command = [sys.executable, "-m", "backend", "train", "--mocap", str(mocap), "-o", str(tmp_path), "--batch", "16"]
    command += ["--steps", "6", "--report-steps", "2", "--keep-pose-tower", "--quiet"]
    alone = subprocess.run(command, capture_output=True, text=True, env=_ENVIRONMENT, check=False)
    assert alone.returncode == 2
    assert "--start" in alone.stdout + alone.stderr
    command += ["--start", str(_SHIPPED), "--rate", "1e-3"]
    done = subprocess.run(command, capture_output=True, text=True, env=_ENVIRONMENT, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    shipped, made = read_towers(_SHIPPED), read_towers(tmp_path / "towers.safetensors")
    assert made.pose_hash == shipped.pose_hash
    assert made.image_hash != shipped.image_hash
    assert "kept" in made.provenance["pose tower"]


def test_a_run_that_ends_before_its_first_report_still_leaves_towers(mocap, tmp_path):
    command = [sys.executable, "-m", "backend", "train", "--mocap", str(mocap), "-o", str(tmp_path), "--batch", "16"]
    done = subprocess.run(
        [*command, "--steps", "2", "--report-steps", "100"],
        capture_output=True,
        text=True,
        env=_ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert read_towers(tmp_path / "towers.safetensors").embedding_size == 64
    assert not (tmp_path / "losses.png").exists()


@pytest.mark.gpu
def test_training_on_cuda_learns_and_keeps_a_checkpoint(mocap, tmp_path):
    command = [sys.executable, "-m", "backend", "train", "--mocap", str(mocap), "-o", str(tmp_path), "--batch", "128"]
    done = subprocess.run(
        [*command, "--steps", "150", "--device", "cuda", "--report-steps", "10", "--quiet"],
        capture_output=True, text=True, env=_ENVIRONMENT, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    curve = _curve(tmp_path)
    assert curve[-3:, 2].mean() < 0.8 * curve[0, 2]
    assert (tmp_path / "checkpoint.pt").exists()


def test_a_rate_that_is_none_is_refused(mocap, tmp_path):
    words = ["train", "--mocap", str(mocap), "-o", str(tmp_path / "run"), "--rate", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "backend", *words], capture_output=True, text=True, env=_ENVIRONMENT, check=False
    )
    assert done.returncode == 2
    assert "--rate 0.0" in done.stderr
