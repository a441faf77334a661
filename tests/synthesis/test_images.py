from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.errors import BadInputError
from backend.synthesis.assets import AssetLibrary, read_assets
from backend.synthesis.degrade import degraded, jpeg_bytes
from backend.synthesis.truth import subset_points_m, visible_landmarks
from blender_addon.motion.body import canonical_body

SIZE = 160


def imaged(renderer, seed, library=None):
    """One person without degradation: image, camera, posed body, the person."""
    from backend.synthesis.generate import placed
    from backend.synthesis.poses import random_pose
    from backend.synthesis.renderer import Actor
    from backend.synthesis.scene import sample_backdrop, sample_crop_camera, sample_light
    from backend.synthesis.wardrobe import sample_person

    rng = np.random.default_rng(seed)
    person = sample_person(rng, library or AssetLibrary())
    posed = placed((0.2, 0.2), person, random_pose(rng))
    landmarks = subset_points_m("blazepose33", posed.joints_m, posed.sites_m)
    shoulders = posed.joints_m[[7, 16]].mean(axis=0)
    camera, _ = sample_crop_camera(rng, posed.joints_m[0], shoulders, landmarks, SIZE, 1.15)
    backdrop = sample_backdrop(rng, (), camera, posed.joints_m[0])
    parts = renderer.upload(person.parts)
    image = renderer.render(camera, sample_light(rng, backdrop), backdrop, (Actor(parts, posed.bone_matrices, 1.0),))
    renderer.release(parts)
    return image, camera, posed, person


def test_truth_lies_on_the_rendered_silhouette(renderer):
    from backend.synthesis.posing import skin_vertices

    for seed in range(6):
        image, camera, posed, person = imaged(renderer, seed)
        mask = image.coverage > 127
        assert 0.02 < mask.mean() < 0.6
        # the drawn outline is that of the skinned skin (clothes may add some px, never take any away)
        skin = camera.project_px(
            camera.camera_from_world(skin_vertices(person.body, posed.bone_matrices, np.arange(13380)))
        )
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        drawn = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        expected = np.clip(np.concatenate([skin.min(axis=0), skin.max(axis=0)]), 0, SIZE)
        assert np.abs(drawn - expected).max() < 4.0
        # every joint and landmark projects into the person, give or take two pixels
        near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        points = np.concatenate([posed.joints_m, posed.sites_m])
        pixels = camera.project_px(camera.camera_from_world(points))
        inside = ((pixels >= 0) & (pixels < SIZE)).all(axis=1)
        x, y = pixels[inside].astype(int).T
        assert near[y, x].mean() > 0.97


def test_the_camera_takes_a_trackers_crop(renderer):
    for seed in range(8):
        _, camera, posed, _ = imaged(renderer, seed)
        landmarks = subset_points_m("blazepose33", posed.joints_m, posed.sites_m)
        pixels = camera.project_px(camera.camera_from_world(landmarks))
        hips = camera.project_px(camera.camera_from_world(posed.joints_m[0]))
        assert np.linalg.norm(hips - SIZE / 2) < 0.1 * SIZE
        reach = np.linalg.norm(pixels - hips, axis=1).max()
        assert 0.25 * SIZE < reach < 0.46 * SIZE
        assert posed.joints_m[:, 2].min() > -0.02, "nobody below the floor"
        assert camera.world_from_camera[2, 3] >= 0.08


def test_depth_is_metres_along_the_axis(renderer):
    from backend.synthesis.posing import skin_vertices

    image, camera, posed, person = imaged(renderer, 2)
    skin = camera.camera_from_world(skin_vertices(person.body, posed.bone_matrices, np.arange(13380)))
    nearest = image.depth_m[image.depth_m < 50].min()
    assert nearest == pytest.approx(skin[:, 2].min(), abs=0.03)


def test_landmarks_behind_a_surface_are_hidden():
    landmarks = np.tile([0.0, 0.0, 3.0], (33, 1))
    pixels = np.tile([50.0, 50.0], (33, 1))
    wall_before, wall_behind = np.full((200, 200), 2.0, np.float32), np.full((200, 200), 3.5, np.float32)
    assert not visible_landmarks(landmarks, pixels, 100, wall_before).any()
    assert visible_landmarks(landmarks, pixels, 100, wall_behind).all()
    skin = np.full((200, 200), 2.93, np.float32)  # 7 cm of flesh hide no shoulder, but they hide an eye
    names = canonical_body().subset_points["blazepose33"]
    seen = visible_landmarks(landmarks, pixels, 100, skin)
    assert seen[names.index("left_shoulder")]
    assert not seen[names.index("left_eye")]
    assert not visible_landmarks(landmarks, pixels + 80, 100, wall_behind).any(), "outside of the image"


def test_degradation_is_random_but_repeatable():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    first, again, other = (degraded(np.random.default_rng(seed), image) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == image.shape
    assert jpeg_bytes(np.random.default_rng(1), first) == jpeg_bytes(np.random.default_rng(1), again)


def test_asset_folders_are_checked(model, tmp_path):
    assert read_assets(None, model).clothes == ()
    with pytest.raises(BadInputError, match="no asset folder"):
        read_assets(tmp_path / "missing", model)
    with pytest.raises(BadInputError, match="no MakeHuman asset"):
        read_assets(tmp_path, model)
    broken = tmp_path / "clothes" / "shirt" / "shirt.mhclo"
    broken.parent.mkdir(parents=True)
    broken.write_text("name shirt\nobj_file shirt.obj\nverts 0\n")
    with pytest.raises(BadInputError, match=r"shirt\.mhclo"):
        read_assets(tmp_path, model)


@pytest.mark.shared
def test_clothes_fit_every_body(model, shared):
    from backend.synthesis.assets import fit_asset
    from backend.synthesis.body_model import Phenotype, rest_body

    library = read_assets(shared / "bodies" / "makehuman", model)
    assert len(library.clothes) >= 10
    assert len(library.shoes) == 6
    assert len(library.hair) >= 8
    assert all(asset.texture is not None for asset in library.clothes + library.shoes + library.hair)
    for gender, weight in ((0.0, 0.9), (1.0, 0.1)):
        rest = rest_body(model, Phenotype(gender=gender, weight=weight), 1.7)
        low, high = rest.vertices_m[:13380].min(axis=0), rest.vertices_m[:13380].max(axis=0)
        for asset in (*library.clothes, *library.shoes, *library.hair):
            mesh = fit_asset(asset, rest)
            assert np.isfinite(mesh.position_m).all()
            assert (mesh.position_m > low - 0.12).all(), asset.name
            assert (mesh.position_m < high + 0.12).all(), asset.name
            np.testing.assert_allclose(mesh.weights.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.shared
def test_dressed_people_render_in_colour(renderer, model, shared):
    library = read_assets(shared / "bodies" / "makehuman", model)
    for seed in range(3):
        image, *_ = imaged(renderer, 20 + seed, library)
        person = image.image[image.coverage > 200]
        assert person.std(axis=0).min() > 6.0, "a flat person has no texture or light"
