"""What every test may use: markers that skip with a reason, the development data, a quiet environment."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import hypothesis
import pytest

# Time limits per example would measure the machine, not the code.
hypothesis.settings.register_profile("marionet", deadline=None)
hypothesis.settings.load_profile("marionet")

REPOSITORY = Path(__file__).resolve().parents[1]
HAS_BPY = importlib.util.find_spec("bpy") is not None

# The Blender tests need Blender as a library, everything else the backend's environment: `make test` runs both.
collect_ignore = [] if HAS_BPY else ["blender"]


def shared_data() -> Path | None:
    """The development data (`data/` of the shared folder), or None where there is none."""
    named = os.environ.get("MARIONET_SHARED")
    folder = Path(named) if named else REPOSITORY.parent / "shared"
    return folder / "data" if (folder / "data").is_dir() else None


def cuda_is_there() -> bool:
    """Whether torch is installed and sees a CUDA device."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine cannot run."""
    missing_data = shared_data() is None
    missing_gpu = any(item.get_closest_marker("gpu") for item in items) and not cuda_is_there()
    for item in items:
        if missing_data and item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason="no development data: set MARIONET_SHARED"))
        if missing_gpu and item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device, or no torch"))
        if not HAS_BPY and item.get_closest_marker("bpy"):
            item.add_marker(pytest.mark.skip(reason="no Blender in this environment: make test-blender"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The development data's folder; mark the test `shared` so that it is skipped where there is none."""
    folder = shared_data()
    if folder is None:
        pytest.skip("no development data: set MARIONET_SHARED")
    return folder


@pytest.fixture(scope="session")
def rendered_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six rendered videos of four frames, bodies in random poses, plain clothes."""
    pytest.importorskip("moderngl", reason="needs the extra 'train'")
    pytest.importorskip("anny", reason="needs the extra 'train'")
    from backend.errors import DeviceError
    from backend.synthesis.dataset import DatasetRequest, make_dataset
    from backend.synthesis.generate import RenderSettings
    from backend.types import CancelToken

    folder = tmp_path_factory.mktemp("videos")
    settings = RenderSettings(seed=4, size_px=224, sequence_frames=4, companion_share=0.0, cut_share=0.0)
    try:
        make_dataset(DatasetRequest(folder, 24, settings, shard_size=12, workers=1), lambda _: None, CancelToken())
    except DeviceError as fault:
        pytest.skip(str(fault))
    return folder
