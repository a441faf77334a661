"""Networks, loaded once."""

from __future__ import annotations

import pytest

from backend.people import PeopleNetworks, PeopleOptions, load_people_networks


@pytest.fixture(scope="session")
def networks() -> PeopleNetworks:
    """Detectors and the full landmark network on the CPU."""
    return load_people_networks(PeopleOptions())
