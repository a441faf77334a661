"""Models that the tests of a file share."""

from __future__ import annotations

import pytest

from backend.solving.models import SolveModels, load_models
from backend.solving.request import SolveQuality


@pytest.fixture(scope="session")
def models() -> SolveModels:
    return load_models(SolveQuality.FAST, "cpu")
