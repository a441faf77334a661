"""ONNX Runtime and torch give the same numbers, shapes are checked, nothing unwanted is loaded or computed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.errors import BadInputError, DeviceError, WeightsError
from backend.networks import NETWORK_NAMES, RuntimeOptions, load_network, read_network, weights_path
from backend.networks.graph import NetworkGraph
from backend.networks.network import open_network
from backend.networks.weights_file import write_network
from tests.networks.small_network import small_network

RELATIVE = 1e-3


@pytest.fixture
def small(tmp_path: Path) -> NetworkGraph:
    """The small network as it is read from a file (float32 weights)."""
    write_network(tmp_path / "small.safetensors", small_network())
    return read_network(tmp_path / "small.safetensors")


def _images(side: int, count: int = 2) -> np.ndarray:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (count, 9, 9, 3), dtype=np.uint8)
    return np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in coarse])


def _face_points(points: int) -> np.ndarray:
    return np.random.default_rng(4).normal(0.0, 0.8, (2, points, 2)).astype(np.float32)


def _gap(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max() / max(np.abs(other).max(), 1e-3))


def test_every_operation_is_the_same_in_both_runtimes(small: NetworkGraph) -> None:
    pytest.importorskip("torch")
    images = _images(16, 3)
    ours = open_network(small, RuntimeOptions("cpu")).run(images)
    twin = open_network(small, RuntimeOptions("torch")).run(images)
    shapes = {name: values.shape for name, values in ours.items()}
    assert shapes == {
        "pooled": (3, 120, 4), "spread": (3, 2, 16, 16), "chance": (3, 8, 15, 15),
        "near": (3, 8, 9, 7), "smooth": (3, 8, 7, 9), "centre": (3, 8, 6, 10),
        "bent": (3, 8, 8, 8), "tokens": (3, 2, 8), "first_row": (3, 8, 1, 1),
    }  # fmt: skip
    assert all(_gap(ours[name], twin[name]) < 1e-5 for name in twin)
    # the constant row stands before the mean of normalised channels
    row = small.arrays["row"]
    assert np.abs(ours["first_row"] - row[None, :, None, None]).max() < 1e-6
    assert np.abs(ours["tokens"][:, 0] - row).max() < 1e-6
    assert ours["bent"].min() < 0


def test_first_convolution_by_hand(small: NetworkGraph) -> None:
    """Normalisation, padding at the bottom right, stride and ReLU6 against a plain loop."""
    graph = small.select(["pooled"])
    images = _images(16, 1)
    values = np.zeros((3, 17, 17))
    values[:, :16, :16] = images[0].transpose(2, 0, 1) * (2 / 255) - 1
    weight, bias = graph.arrays["first_weight"].astype(float), graph.arrays["first_bias"].astype(float)
    expected = np.empty((6, 8, 8))
    for row in range(8):
        for column in range(8):
            window = values[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            expected[:, row, column] = ((weight * window).sum((1, 2, 3)) + bias).clip(0, 6)
    from dataclasses import replace

    first = open_network(replace(graph, outputs={"first": "first"}).select(["first"]), RuntimeOptions()).run(images)
    assert np.abs(first["first"][0] - expected).max() < 1e-5


@pytest.mark.parametrize("device", ["torch", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_shipped_networks_agree(name: str, device: str) -> None:
    pytest.importorskip("torch")
    network = load_network(name)
    points = network.graph.input_points
    images = _face_points(points) if points else _images(network.input_size)
    ours, twin = network.run(images), load_network(name, RuntimeOptions(device)).run(images)
    assert set(ours) == set(twin)
    for output in set(twin) - {"presence"}:  # a probability near 0 on images of nobody: compared absolutely
        assert _gap(ours[output], twin[output]) < RELATIVE, output
    if "presence" in twin:
        assert np.abs(ours["presence"] - twin["presence"]).max() < RELATIVE


def test_long_input_is_cut_into_batches(small: NetworkGraph) -> None:
    images = _images(16, 7)
    whole = open_network(small, RuntimeOptions(batch=7)).run(images)
    parts = open_network(small, RuntimeOptions(batch=3)).run(images)
    assert all(np.allclose(whole[name], parts[name], atol=1e-6) for name in whole)


def test_unwanted_outputs_are_not_computed() -> None:
    graph = read_network(weights_path("pose_full"))
    fewer = graph.select(["landmarks"])
    assert list(fewer.outputs) == ["landmarks"]
    assert len(fewer.operations) < len(graph.operations)
    assert fewer.parameter_count < graph.parameter_count
    network = load_network("pose_full", outputs=["landmarks"])
    images = _images(256, 1)
    assert _gap(network.run(images)["landmarks"], load_network("pose_full").run(images)["landmarks"]) < 1e-5


def test_wrong_images_and_names_are_refused(small: NetworkGraph) -> None:
    network = open_network(small, RuntimeOptions())
    for images in (
        np.zeros((1, 15, 16, 3), np.uint8),
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((0, 16, 16, 3), np.uint8),
    ):
        with pytest.raises(BadInputError, match="wants uint8"):
            network.run(images)
    with pytest.raises(BadInputError, match="no outputs"):
        open_network(small, RuntimeOptions(), ["dreams"])


def test_absent_cuda_is_a_named_error(small: NetworkGraph) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(DeviceError, match="no CUDA device"):
        open_network(small, RuntimeOptions("cuda"))


def test_a_graph_that_does_not_fit_is_a_named_error(small: NetworkGraph) -> None:
    from dataclasses import replace

    arrays = {**small.arrays, "first_weight": np.zeros((6, 4, 3, 3), np.float32)}
    with pytest.raises(WeightsError, match="small cannot run"):
        open_network(replace(small, arrays=arrays), RuntimeOptions()).run(_images(16))


def test_cpu_runtime_needs_no_torch() -> None:
    program = (
        "import sys, numpy as np; sys.modules['torch'] = None\n"
        "from backend.people import PeopleOptions, load_people_networks\n"
        "networks = load_people_networks(PeopleOptions())\n"
        "networks.persons.detect_frame(np.zeros((90, 160, 3), np.uint8))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).resolve().parents[2])


def test_opening_sessions_leaves_floating_point_alone(small: NetworkGraph) -> None:
    """Some session options flush denormals for the whole process; other code relies on them."""
    open_network(small, RuntimeOptions(threads=2)).run(_images(16))
    assert np.float64(5e-324) * 1.0 > 0


@pytest.mark.slow
def test_one_quality_loads_within_a_second() -> None:
    """CPU time, so that a busy machine does not matter: both detectors and the largest landmark network."""
    load_network("pose_lite")  # libraries
    started = time.process_time()
    for name in ("pose_heavy", "pose_detector", "person_detector"):
        load_network(name)
    assert time.process_time() - started < 1.5
