"""The paper's network: its layer sizes, and that it learns on small data."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # small tensors: more threads only wait for each other

from backend.embedding.structnet import (  # noqa: E402
    PoseBranch,
    StructNetImage,
    StructNetPose,
    start_as_published,
)
from backend.training.structnet_training import StructNetSettings, TrainingImages, train_structnet  # noqa: E402


def test_layer_sizes_are_the_papers() -> None:
    image, pose = StructNetImage(), StructNetPose()
    with torch.inference_mode():
        pool1 = image.pool(torch.relu(image.conv1(torch.zeros(1, 3, 112, 112))))
        pool2, pool3 = image.features(torch.zeros(1, 3, 112, 112))
        output = image(torch.zeros(2, 3, 112, 112))
    assert pool1.shape == (1, 32, 52, 52)
    assert pool2.shape == (1, 64, 24, 24)
    assert pool3.shape == (1, 64, 10, 10)
    assert (image.fc_p2.out_features, image.fc_p3.out_features) == (256, 1024)
    assert (image.fc_j1.in_features, image.fc_j1.out_features) == (1280, 2048)
    assert output.embedding.shape == (2, 1024)
    assert output.joints_m.shape == (2, 17, 3)
    assert (output.embedding >= 0).all()
    assert [layer.weight.shape for layer in pose.layers] == [(1024, 51), (1024, 1024)]
    assert image.dropout.p == 0.75


def test_pose_branch_ablations() -> None:
    joints = torch.randn(4, 17, 3)
    assert torch.allclose(StructNetPose(PoseBranch.RAW)(joints), joints.flatten(1) / 1.2)
    assert StructNetPose(PoseBranch.ONE_LAYER)(joints).shape == (4, 1024)


def test_learns_on_small_data() -> None:
    """Bright blobs stand for joints: the loss falls and retrieval beats chance by far."""
    torch.manual_seed(0)
    joints = 0.5 * torch.randn(12, 17, 3)
    images = torch.zeros(12, 3, 112, 112)
    for number, joint in ((13, 0), (16, 1), (3, 2)):
        column = ((joints[:, number, 0] + 1.5) / 3 * 95).long().clamp(0, 95)
        row = ((joints[:, number, 1] + 1.5) / 3 * 95).long().clamp(0, 95)
        for k in range(len(images)):
            images[k, joint, row[k] : row[k] + 16, column[k] : column[k] + 16] = 1.0
    images -= images.mean(0)
    image, pose = StructNetImage(), StructNetPose()
    start_as_published(image, pose)
    torch.nn.init.normal_(image.fc_p2.weight, std=0.01)  # 12 pictures, not 130,000: a faster start
    torch.nn.init.normal_(image.fc_p3.weight, std=0.02)
    torch.nn.init.normal_(image.fc_j1.weight, std=0.03)
    torch.nn.init.normal_(image.fc_img.weight, std=0.03)
    losses: list[float] = []
    settings = StructNetSettings(batch=12, candidates=12, hard=2, lowest_power=-3, highest_power=0)
    train_structnet(image, pose, TrainingImages(images, joints), 24, settings, lambda step, loss: losses.append(loss))
    assert losses[-1] < 0.8 * losses[0]
    image.eval()
    with torch.inference_mode():
        best = (image(images).embedding @ pose(joints).T).argmax(1)
    assert (best == torch.arange(12)).float().mean() >= 4 / 12  # chance is 1 / 12
