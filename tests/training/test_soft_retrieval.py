"""Averages weighted by score: the loss by hand, parts as inference takes them, and a gradient that helps."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from backend.embedding.keypoints import LIMBS, PARTS, TRUNK  # noqa: E402
from backend.embedding.part_retrieval import _with_part  # noqa: E402
from backend.embedding.towers_torch import PoseTower, TowerSizes  # noqa: E402
from backend.training.soft_retrieval import Candidates, SoftSettings, soft_retrieval_loss, with_part  # noqa: E402


def _poses(count: int) -> torch.Tensor:
    poses = 0.3 * torch.randn(count, 17, 3)
    return poses - poses[:, :1]


@pytest.mark.parametrize("part", PARTS, ids=["trunk", "left arm", "right arm", "left leg", "right leg"])
def test_parts_are_replaced_as_in_retrieval(part) -> None:
    torch.manual_seed(1)
    base, donated = _poses(4), _poses(12).view(4, 3, 17, 3)
    made = with_part(base, donated, part).numpy()
    assert np.allclose(made, _with_part(base.numpy(), donated.numpy(), part)[:, :3], atol=1e-6)
    kept = [joint for joint in range(17) if joint not in part.joints and not (part is TRUNK and joint > 0)]
    assert np.allclose(made[:, :, kept], base.numpy()[:, None, kept])


def test_the_loss_is_the_error_of_the_mean_weighted_by_score() -> None:
    torch.manual_seed(2)
    tower, pool, truth = PoseTower(TowerSizes(8, 8, 4)), _poses(40), _poses(3)
    image = torch.randn(3, 4)
    donors = Candidates(pool, tower(pool).detach())
    torch.manual_seed(5)
    loss = soft_retrieval_loss(image, truth, truth, donors, tower, SoftSettings(7, 0.4))
    torch.manual_seed(5)
    part = PARTS[int(torch.randint(len(PARTS), ()))]
    expected = 0.0
    for row in range(3):
        order = sorted(range(40), key=lambda c: -float((image[row] @ donors.embedding[c]).detach()))[:7]
        hits = pool[order]
        donated = with_part(truth[row : row + 1], hits[None], part)[0]
        for poses, joints in ((hits, list(range(17))), (donated, list(part.joints))):
            weight = torch.exp((tower(poses) @ image[row]) / 0.4)
            mean = (weight[:, None, None] * poses).sum(0) / weight.sum()
            expected += float((mean - truth[row])[joints].norm(dim=-1).mean().detach()) / 3
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)


def test_its_gradient_brings_the_mean_closer_and_reaches_both_towers() -> None:
    torch.manual_seed(3)
    tower, pool = PoseTower(TowerSizes(32, 32, 8)), _poses(200)
    truth = pool[:6] + 0.03 * torch.randn(6, 17, 3)
    image = torch.randn(6, 8, requires_grad=True)
    donors = Candidates(pool, tower(pool).detach())
    optimizer = torch.optim.Adam([image, *tower.parameters()], lr=0.01)
    errors = []
    for _ in range(120):
        loss = soft_retrieval_loss(image, truth, truth, donors, tower, SoftSettings(50, 0.5))
        optimizer.zero_grad()
        loss.backward()
        for reached in (image, tower.first.weight):
            assert reached.grad is not None
            assert reached.grad.abs().sum() > 0
        optimizer.step()
        donors = Candidates(pool, tower(pool).detach())
        errors.append(float(loss.detach()))
    assert np.mean(errors[-10:]) < 0.5 * np.mean(errors[:10])


def test_five_parts_hold_every_joint_but_the_pelvis_once() -> None:
    joints = sorted(joint for part in PARTS for joint in part.joints)
    assert joints == list(range(1, 17))
    assert all(part.hangs_on in (0, *TRUNK.joints) for part in LIMBS)
