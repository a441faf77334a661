"""A towers file becomes trainable towers that compute the same, in training and in evaluation."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from backend.embedding.features import CONTEXT_FEATURES, FRAME_FEATURES, WINDOW  # noqa: E402
from backend.embedding.towers_torch import TowerSizes  # noqa: E402
from backend.errors import WeightsError  # noqa: E402
from backend.training.checkpoint import folded_weights, new_state  # noqa: E402
from backend.training.trainer import TrainerSettings  # noqa: E402
from backend.training.unfold import start_from_weights  # noqa: E402

_SIZES = TowerSizes(32, 32, 8)


def test_unfolded_towers_compute_what_the_file_says() -> None:
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.normal(size=(64, WINDOW, FRAME_FEATURES)).astype(np.float32))
    context = torch.from_numpy(rng.normal(size=(64, CONTEXT_FEATURES)).astype(np.float32))
    trained = new_state(_SIZES, TrainerSettings(seed=1))
    with torch.no_grad():
        for _ in range(5):
            trained.image.train()(frames * 1.5, context)  # moves the running statistics
    trained.image_average.load_state_dict(trained.image.state_dict())
    weights = folded_weights(trained.image_average.eval(), trained.pose, {})
    state = start_from_weights(new_state(_SIZES, TrainerSettings(seed=2)), weights, frames, context)
    with torch.no_grad():
        expected = trained.image.eval()(frames, context).joints_m
        assert torch.allclose(state.image.eval()(frames, context).joints_m, expected, atol=1e-5)
        for module in state.image.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        assert torch.allclose(state.image.train()(frames, context).joints_m, expected, atol=1e-4)
        joints = torch.from_numpy(rng.normal(size=(5, 17, 3)).astype(np.float32))
        assert torch.allclose(state.pose(joints), trained.pose(joints), atol=1e-5)


def test_towers_of_other_sizes_are_refused() -> None:
    trained = new_state(_SIZES, TrainerSettings())
    weights = folded_weights(trained.image_average, trained.pose, {})
    frames, context = torch.zeros(4, WINDOW, FRAME_FEATURES), torch.zeros(4, CONTEXT_FEATURES)
    with pytest.raises(WeightsError, match="other layer sizes"):
        start_from_weights(new_state(TowerSizes(16, 16, 8), TrainerSettings()), weights, frames, context)
