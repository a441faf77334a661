"""The MakeHuman body once a session, and a renderer where OpenGL is there."""

from __future__ import annotations

import pytest

from backend.errors import DeviceError


@pytest.fixture(scope="session")
def model():
    pytest.importorskip("anny", reason="needs the extra 'train'")
    from backend.synthesis.body_model import body_model

    return body_model()


@pytest.fixture(scope="session")
def body(model):
    from backend.synthesis.body_model import Phenotype, rest_body
    from backend.synthesis.posing import poseable_body

    return poseable_body(model, rest_body(model, Phenotype(gender=0.3), 1.75))


@pytest.fixture(scope="session")
def renderer(model):
    pytest.importorskip("moderngl", reason="needs the extra 'train'")
    from backend.synthesis.renderer import Renderer

    try:
        return Renderer(160, 1.5)
    except DeviceError as fault:
        pytest.skip(str(fault))
