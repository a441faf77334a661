"""Network files: what is written comes back, and what is damaged or foreign is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backend.errors import WeightsError
from backend.networks import NETWORK_NAMES, read_network, weights_path
from backend.networks.graph import NetworkGraph
from backend.networks.weights_file import write_network
from tests.networks.small_network import small_network


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The small network as a file."""
    path = tmp_path / "small.safetensors"
    write_network(path, small_network())
    return path


def test_round_trip(stored: Path) -> None:
    graph, again = small_network(), read_network(stored)
    assert again.operations == graph.operations
    assert again.outputs == graph.outputs
    assert again.provenance == graph.provenance
    assert again.input_size == graph.input_size
    for name, array in again.arrays.items():
        expected = graph.arrays[name].astype(np.float32)
        if name == "int8_weight":
            expected = expected * graph.arrays["int8_weight.scale"][:, None, None, None]
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, expected)


def test_mostly_empty_weights_are_stored_small(tmp_path: Path) -> None:
    graph = small_network()
    weights = np.zeros((64, 64, 1, 1), np.float16)
    weights[::3, 5] = 1.5
    arrays = {**graph.arrays, "sparse": weights}
    write_network(tmp_path / "sparse.safetensors", replace(graph, arrays=arrays))
    assert load_file(tmp_path / "sparse.safetensors")["sparse"].size == 22
    np.testing.assert_array_equal(read_network(tmp_path / "sparse.safetensors").arrays["sparse"], weights)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_truncated_file(stored: Path, length: int) -> None:
    stored.write_bytes(stored.read_bytes()[:length])
    with pytest.raises(WeightsError, match="truncated"):
        read_network(stored)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="missing"):
        read_network(tmp_path / "nowhere.safetensors")


def test_foreign_safetensors(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="holds no Marionet network"):
        read_network(tmp_path / "foreign.safetensors")


def _rewrite(path: Path, change, version: str = "1") -> None:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["graph"])
    change(header)
    metadata = {"format": "marionet-network", "version": version, "graph": json.dumps(header)}
    save_file(load_file(path), path, metadata)


def test_other_version(stored: Path) -> None:
    _rewrite(stored, lambda header: None, version="99")
    with pytest.raises(WeightsError, match="format version 99"):
        read_network(stored)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: header.pop("outputs"), "cannot be read"),
        (lambda header: header["operations"][0].__setitem__(0, "Dream"), "cannot be read"),
        (lambda header: header["operations"][0][1].pop("stride"), "cannot be read"),
        (lambda header: header["operations"].pop(0), "before they are made"),
        (lambda header: header["operations"][0][1].__setitem__("weight", "gone"), "weights of .* are missing"),
        (lambda header: header["outputs"].__setitem__("pooled", "gone"), "never made"),
    ],
)
def test_inconsistent_graph(stored: Path, change, message: str) -> None:
    _rewrite(stored, change)
    with pytest.raises(WeightsError, match=message):
        read_network(stored)


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    graph = small_network()
    arrays = dict(graph.arrays)
    arrays["first_bias"] = np.full_like(arrays["first_bias"], np.nan)
    write_network(tmp_path / "nan.safetensors", replace(graph, arrays=arrays))
    with pytest.raises(WeightsError, match="not finite"):
        read_network(tmp_path / "nan.safetensors")


def test_unknown_name() -> None:
    with pytest.raises(WeightsError, match="Unknown network"):
        weights_path("pose_huge")


def test_shipped_networks_say_where_they_are_from() -> None:
    assert sum(weights_path(name).stat().st_size for name in NETWORK_NAMES) <= 55e6
    for name in NETWORK_NAMES:
        graph: NetworkGraph = read_network(weights_path(name))
        assert graph.name == name
        own = name == "hand_pose"  # trained by this project
        assert graph.provenance.licence == ("GPL-3.0-or-later" if own else "Apache-2.0")
        assert len(graph.provenance.sha256) == 64
        assert len(set(graph.provenance.sha256)) > 4, "the hash of a real file"
        assert graph.provenance.package.split()[0] in (("Marionet",) if own else ("PyPI", "npm"))
        assert "segmentation" not in graph.outputs
