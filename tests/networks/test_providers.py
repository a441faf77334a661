"""Execution providers: what is there is tried beside the CPU, what fails is left for the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as state

from backend.errors import DeviceError
from backend.networks import RuntimeOptions, providers
from backend.networks.network import open_network
from backend.networks.providers import Provider, ProviderTrial, available_providers, provider_of
from backend.networks.weights_file import read_network, weights_path
from backend.solving.device import choose_device, cuda_devices, matrix_device


@pytest.fixture
def untried() -> Iterator[None]:
    """What was measured before is forgotten, and what is measured in the test too."""
    providers.try_providers.cache_clear()
    yield
    providers.try_providers.cache_clear()


@pytest.fixture
def with_directml(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ONNX Runtime that says it has DirectML."""
    names = ["DmlExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)


def test_devices_are_read_with_their_number() -> None:
    assert provider_of("directml:1") == (Provider.DIRECTML, 1)
    assert provider_of("coreml") == (Provider.COREML, 0)
    assert [provider_of(name) for name in ("cuda", "cuda:1", "torch", "directml:x", "")] == [None] * 5
    assert matrix_device("cuda:1") == "cuda:1"
    assert {matrix_device(name) for name in ("cpu", "directml", "openvino", "cuda-onnx:1")} == {"cpu"}


def test_a_device_that_is_not_there_names_its_package() -> None:
    absent = next(one for one in (Provider.DIRECTML, Provider.COREML) if one not in available_providers())
    with pytest.raises(DeviceError, match="is not there") as caught:
        choose_device(absent.value)
    assert absent.package in caught.value.remedy
    with pytest.raises(DeviceError, match=f"has no {absent.runtime_name}"):
        open_network(read_network(weights_path("pose_lite")), RuntimeOptions(absent.value))


@pytest.mark.usefixtures("untried")
def test_a_machine_without_another_provider_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(providers, "_time", lambda *_: pytest.fail("something was measured"))
    assert providers.try_providers() == ()
    if not cuda_devices():
        assert choose_device("auto") == "cpu"


@pytest.mark.usefixtures("untried", "with_directml")
@pytest.mark.parametrize(
    ("gain", "difference", "device", "words"),
    [
        (5.0, 1e-5, "directml", "5.0 x the CPU's speed, landmarks differ by 0.001 % of the crop; used"),
        (0.4, 0.0, "cpu", "not used, since it is below 1.1 x"),
        (9.0, 0.02, "cpu", "not used, since 0.1 % are allowed"),
    ],
)
def test_the_provider_that_is_faster_and_agrees_is_chosen(
    monkeypatch: pytest.MonkeyPatch, gain: float, difference: float, device: str, words: str
) -> None:
    side = read_network(weights_path("pose_full")).input_size
    measured = {
        Provider.CPU: (1.0, np.zeros(3, np.float32)),
        Provider.DIRECTML: (1.0 / gain, np.full(3, difference * side, np.float32)),
    }
    monkeypatch.setattr(providers, "_time", lambda _graph, _threads, provider: measured[provider])
    (trial,) = providers.try_providers()
    assert words in trial.describe()
    if not cuda_devices():
        assert choose_device("auto") == device


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.usefixtures("untried", "with_directml")
def test_a_provider_that_cannot_be_opened_is_passed_over() -> None:
    """The real ONNX Runtime without DirectML refuses it or falls back; neither is taken for DirectML."""
    (trial,) = providers.try_providers()
    assert trial.fault
    assert trial.describe().startswith("cannot be used: ")
    assert providers.fastest_provider() is Provider.CPU


class _FailsLater:
    """A session that computes twice and then loses its graphics card."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session, self.calls = session, 0

    def run(self, *words: object) -> object:
        self.calls += 1
        if self.calls > 2:
            raise state.RuntimeException("DXGI_ERROR_DEVICE_REMOVED\nmore")
        return self._session.run(*words)


def test_the_cpu_goes_on_when_a_provider_fails_while_it_runs(caplog: pytest.LogCaptureFixture) -> None:
    graph = read_network(weights_path("pose_lite")).select(["landmarks"])
    images = np.random.default_rng(1).integers(0, 256, (1, graph.input_size, graph.input_size, 3), np.uint8)
    wanted = open_network(graph, RuntimeOptions()).run(images)["landmarks"]
    network = open_network(graph, RuntimeOptions())
    network._provider, network._on_cpu = Provider.DIRECTML, False  # type: ignore[attr-defined]
    network._session = failing = _FailsLater(network._session)  # type: ignore[attr-defined]
    for _ in range(5):
        assert np.array_equal(network.run(images)["landmarks"], wanted)
    assert failing.calls == 3, "the failed provider is not asked again"
    assert [record.message for record in caplog.records] == [
        "directml failed, the CPU goes on: DXGI_ERROR_DEVICE_REMOVED"
    ]


@pytest.mark.skipif(Provider.OPENVINO not in available_providers(), reason="onnxruntime-openvino is not installed")
def test_openvino_agrees_with_the_cpu(tmp_path: Path) -> None:
    graph = read_network(weights_path("pose_full"))
    images = np.random.default_rng(2).integers(0, 256, (2, graph.input_size, graph.input_size, 3), np.uint8)
    ours, other = (open_network(graph, RuntimeOptions(device)).run(images) for device in ("cpu", "openvino"))
    for name, values in ours.items():
        assert np.abs(values - other[name]).max() <= 1e-3 * max(1.0, float(np.abs(values).max())), name


def test_a_trial_without_numbers_is_never_chosen() -> None:
    assert not ProviderTrial(Provider.COREML, 20.0, 0.0, "broken").chosen
