"""Retrieval by parts: recombined poses, the score they are chosen by, and key frames."""

from __future__ import annotations

import numpy as np
import pytest

from backend.bank.search import make_searcher
from backend.embedding.keypoints import PARTS
from backend.embedding.model_files import WEIGHTS_DIR, ModelFiles
from backend.embedding.part_retrieval import PartSearch, PartSettings, _with_part, between, key_frames
from backend.embedding.pose_model import load_model

_LIMBS = {"left arm": (11, 12, 13), "right arm": (14, 15, 16), "left leg": (4, 5, 6), "right leg": (1, 2, 3)}


@pytest.fixture(scope="module")
def model():
    return load_model(files=ModelFiles(towers=WEIGHTS_DIR / "towers.safetensors"))


def _scores(model, embedding, poses):
    return (model.towers.embed_poses(poses.reshape(-1, 17, 3)).reshape(*poses.shape[:-2], -1) * embedding).sum(-1)


def _recombined(model, rng, count):
    """Poses with trunk and limbs of five candidates of the bank: (count, 17, 3)."""
    joints = model.bank.candidates.joints_m(rng.integers(0, len(model.bank), 5 * count)).reshape(count, 5, 17, 3)
    out = joints[:, 0].copy()
    for number, limb in enumerate(_LIMBS.values(), start=1):
        out[:, limb[1:]] = out[:, limb[0], None] + joints[:, number][:, limb[1:]] - joints[:, number, limb[0], None]
    return out


def test_the_answer_scores_higher_than_every_whole_pose_it_was_made_from(model):
    rng = np.random.default_rng(3)
    embedding = model.towers.embed_poses(_recombined(model, rng, 12))
    hits = make_searcher(model.bank.embeddings).search(embedding, 200)
    settings = PartSettings(temperature=0.0, sweeps=2)
    donated = model.bank.candidates.joints_m(hits.indices[:, settings.donors(200)].reshape(-1)).reshape(12, -1, 17, 3)
    found = PartSearch(model.towers.weights, settings).find(embedding, donated[:, 0], donated)
    assert (_scores(model, embedding, found) >= _scores(model, embedding[:, None], donated).max(axis=1) - 1e-3).all()


def test_limbs_come_from_the_candidates_and_keep_their_lengths(model):
    rng = np.random.default_rng(4)
    donated = model.bank.candidates.joints_m(rng.integers(0, len(model.bank), 8 * 6)).reshape(8, 6, 17, 3)
    embedding = model.towers.embed_poses(_recombined(model, rng, 8))
    found = PartSearch(model.towers.weights, PartSettings(temperature=0.0)).find(embedding, donated[:, 0], donated)
    for shoulder, elbow, wrist in _LIMBS.values():
        for first, second in ((shoulder, elbow), (elbow, wrist)):
            own = found[:, second] - found[:, first]
            others = donated[:, :, second] - donated[:, :, first]
            assert np.linalg.norm(others - own[:, None], axis=-1).min(axis=1).max() < 1e-5


def test_a_pose_made_of_the_donors_parts_is_found_again(model):
    """Three donors, one of which holds each true part: coordinate ascent has to come close to the truth."""
    rng = np.random.default_rng(5)
    whole = model.bank.candidates.joints_m(rng.integers(0, len(model.bank), 40 * 3)).reshape(40, 3, 17, 3)
    truth = whole[:, 0].copy()
    for number, limb in enumerate(_LIMBS.values()):
        source = whole[:, 1 + number % 2]
        truth[:, limb[1:]] = truth[:, limb[0], None] + source[:, limb[1:]] - source[:, limb[0], None]
    # the pose that the score likes best for a pose's own embedding is that pose, as training asks of it
    embedding = 4.0 * model.towers.embed_poses(truth)
    settings = PartSettings(candidates=3, temperature=0.0, sweeps=3)
    found = PartSearch(model.towers.weights, settings).find(embedding, whole[:, 2], whole)
    before = np.linalg.norm(whole[:, 2] - truth, axis=-1).mean()
    assert _scores(model, embedding, found).mean() > _scores(model, embedding, whole[:, 2]).mean()
    assert np.linalg.norm(found - truth, axis=-1).mean() < before


def test_each_part_is_the_mean_of_its_donors_weighted_by_score(model):
    rng = np.random.default_rng(9)
    donated = model.bank.candidates.joints_m(rng.integers(0, len(model.bank), 5 * 6)).reshape(5, 6, 17, 3)
    embedding = 0.1 * model.towers.embed_poses(_recombined(model, rng, 5))
    found = PartSearch(model.towers.weights, PartSettings(temperature=0.7)).find(embedding, donated[:, 0], donated)
    pose = donated[:, 0]
    for part in PARTS:
        poses = _with_part(pose, donated, part)
        weight = np.exp(_scores(model, embedding[:, None], poses).astype(np.float64) / 0.7)
        weight /= weight.sum(axis=1, keepdims=True)
        assert (weight.max(axis=1) < 0.999).any(), "the mean of several"
        pose = (weight[..., None, None] * poses).sum(axis=1)
    np.testing.assert_allclose(found, pose, atol=2e-4)


def test_result_does_not_depend_on_how_frames_are_grouped(model):
    rng = np.random.default_rng(6)
    donated = model.bank.candidates.joints_m(rng.integers(0, len(model.bank), 70 * 8)).reshape(70, 8, 17, 3)
    embedding = model.towers.embed_poses(_recombined(model, rng, 70))
    search = PartSearch(model.towers.weights, PartSettings(candidates=8))
    whole = search.find(embedding, donated[:, 0], donated)
    np.testing.assert_allclose(
        search.find(embedding[40:45], donated[40:45, 0], donated[40:45]), whole[40:45], atol=1e-5
    )


def test_fewer_hits_than_donors():
    np.testing.assert_array_equal(PartSettings(candidates=24).donors(3), [0, 1, 2])
    places = PartSettings(candidates=24).donors(200)
    assert (len(places), places[0], places[-1]) == (24, 0, 199)


@pytest.mark.parametrize(("fps", "step"), [(25.0, 1), (30.0, 1), (60.0, 2), (120.0, 4)])
def test_key_frames_are_so_far_apart(fps, step):
    times = np.arange(41) / fps
    np.testing.assert_array_equal(np.diff(key_frames(times, 0.04))[:-1], step)


def test_between_key_frames_and_over_gaps():
    times = np.concatenate([np.arange(20) / 60, 5 + np.arange(9) / 60])
    keys = key_frames(times, 0.04)
    assert {0, 19, 20, 28} <= set(keys.tolist())
    line = 3.0 * times[:, None]
    np.testing.assert_allclose(between(line[keys], keys, times), line, atol=1e-9)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_key_frames_of_the_shortest_clips(frames):
    times = np.arange(frames) / 60
    keys = key_frames(times, 0.04)
    assert (keys[0], keys[-1]) == (0, frames - 1)
    values = times[:, None]
    np.testing.assert_allclose(between(values[keys], keys, times), values)
