"""The networks of a solve, and a request's settings of its people and poses.

May import `backend.people`, `backend.embedding`, and the requests, networks and devices of its own room.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.embedding.augmented_views import ALL_VIEWS, ONE_VIEW, TWO_VIEWS, View
from backend.embedding.fit_terms import RefineSettings
from backend.embedding.model_files import SHIPPED, ModelFiles
from backend.embedding.part_retrieval import PartSettings
from backend.embedding.pose_model import TEMPORAL_SHARE, PoseModel, PoseOptions, load_model
from backend.people.networks import PeopleNetworks, load_people_networks
from backend.people.options import Choice, PeopleOptions
from backend.solving.detail_pass import DetailNetworks
from backend.solving.device import choose_device, matrix_device
from backend.solving.request import SolveQuality, SolveRequest

ASSUMED_HEIGHT_M = 1.70


@dataclass(frozen=True, slots=True)
class SolveModels:
    """The networks of one quality on one device, loaded once and usable for many solves."""

    quality: SolveQuality
    device: str
    people: PeopleNetworks
    poses: PoseModel
    files: ModelFiles = SHIPPED
    details: DetailNetworks = DetailNetworks()


def load_models(quality: SolveQuality, device: str = "auto", files: ModelFiles = SHIPPED) -> SolveModels:
    """Load what `solve` needs. Raises WeightsError and DeviceError."""
    chosen = choose_device(device)
    people = load_people_networks(PeopleOptions(quality=quality.landmark_network, device=chosen))
    return SolveModels(quality, chosen, people, load_model(matrix_device(chosen), files=files), files)


def fitting_models(models: SolveModels | None, request: SolveRequest) -> SolveModels:
    """The given models where they are what the request asks for, else newly loaded ones."""
    device = choose_device(request.device)
    wanted = (request.quality, device, request.model)
    if models is not None and (models.quality, models.device, models.files) == wanted:
        return models
    return load_models(*wanted)


def people_options(request: SolveRequest, models: SolveModels) -> PeopleOptions:
    """How the people of a request's video are found and followed."""
    # `tracks` looks as often as this, so that its numbers are the same people's; and nobody who stays briefly is missed
    everyone = request.person.choice in (Choice.INDEX, Choice.ALL)
    seldom = request.quality is SolveQuality.FAST and not everyone
    return PeopleOptions(
        quality=request.quality.landmark_network,
        search_interval_s=2.0 if seldom else 0.5,
        max_people=request.max_people,
        selection=request.person,
        device=models.device,
    )


def pose_options(request: SolveRequest, draft: bool = False) -> PoseOptions:
    """How a request's poses are solved. A draft takes the folding tower's pose; `fast` climbs two steps, makes two
    test-time augmentations instead of four, and retrieves whole poses alone.
    """
    quality = request.quality
    views: tuple[View, ...] = ALL_VIEWS
    if draft:
        refine, views = RefineSettings(iterations=0), ONE_VIEW
    elif quality is SolveQuality.FAST:
        refine, views = RefineSettings(iterations=2), TWO_VIEWS
    else:
        refine = RefineSettings()
    whole = draft or quality is SolveQuality.FAST
    return PoseOptions(
        parts=None if whole else PartSettings(),
        retrieval_share=0.3 if whole else None,
        height_m=request.height_m or ASSUMED_HEIGHT_M,
        gravity_camera=request.gravity_camera,
        views=views,
        temporal_share=0.0 if draft else TEMPORAL_SHARE,
        neighbours=100 if quality is SolveQuality.FAST else 200,
        refine=refine,
    )
