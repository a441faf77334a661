"""The paper's network: its layer sizes, and that it learns on small data."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # small tensors: more threads only wait for each other

from backend.embedding.structnet import (  # noqa: E402
    PoseBranch,
    StructNetImage,
    StructNetPose,
    start_as_published,
)
from backend.training.structnet_renders import (  # noqa: E402
    Crops,
    learned_convolutions,
    pooled_crops,
    structnet_errors,
    trained_structnet,
)
from backend.training.structnet_training import (  # noqa: E402
    Stepping,
    StructNetSettings,
    TrainingImages,
    train_structnet,
)


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
    images = torch.zeros(12, 112, 112, 3, dtype=torch.uint8)
    for number, joint in ((13, 0), (16, 1), (3, 2)):
        column = ((joints[:, number, 0] + 1.5) / 3 * 95).long().clamp(0, 95)
        row = ((joints[:, number, 1] + 1.5) / 3 * 95).long().clamp(0, 95)
        for k in range(len(images)):
            images[k, row[k] : row[k] + 16, column[k] : column[k] + 16, joint] = 255
    data = TrainingImages(images, images.float().mean(0).permute(2, 0, 1) / 255.0, joints)
    image, pose = StructNetImage(), StructNetPose()
    start_as_published(image, pose)
    torch.nn.init.normal_(image.fc_p2.weight, std=0.01)  # 12 images, not 130,000: a faster start
    torch.nn.init.normal_(image.fc_p3.weight, std=0.02)
    torch.nn.init.normal_(image.fc_j1.weight, std=0.03)
    torch.nn.init.normal_(image.fc_img.weight, std=0.03)
    losses: list[float] = []
    settings = StructNetSettings(batch=12, candidates=12, hard=2, lowest_power=-3, highest_power=0)
    train_structnet(image, pose, data, 24, settings, lambda step, loss: losses.append(loss))
    assert losses[-1] < 0.8 * losses[0]
    image.eval()
    with torch.inference_mode():
        best = (image(data.input(slice(None))).embedding @ pose(joints).T).argmax(1)
    assert (best == torch.arange(12)).float().mean() >= 4 / 12  # chance is 1 / 12


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_stages_and_errors_on_a_device(device: str) -> None:
    """Errors block by block are those of the whole table of scores."""
    rng = np.random.default_rng(0)
    crops = Crops(rng.integers(0, 256, (20, 112, 112, 3), dtype=np.uint8), rng.normal(size=(20, 17, 3)).astype("f4"))
    settings = StructNetSettings(batch=8, candidates=10, hard=2, stepping=Stepping.ADAM, device=device)
    learned = learned_convolutions(crops, 2, settings, lambda step, loss: None)
    net = trained_structnet(learned, PoseBranch.ONE_LAYER, 3, settings, lambda step, loss: None)
    assert net.bank_m.device.type == device
    seen = pooled_crops(learned, Crops(crops.images[::2], crops.joints_m[::2]))
    errors = structnet_errors(net, seen, (1, 4, 50))
    with torch.inference_mode():
        output = net.image.head(seen.pool2.float(), seen.pool3.float())
        scores = (output.embedding @ net.pose(net.bank_m).T).cpu().numpy()
    bank, truth = net.bank_m.cpu().numpy(), crops.joints_m[::2]
    order = np.argsort(-scores, axis=1)
    for count in (1, 4):
        mean = 1000 * np.linalg.norm(bank[order[:, :count]].mean(1) - truth, axis=-1).mean()
        assert errors.average_mm[count] == pytest.approx(mean, rel=1e-3)
    assert set(errors.average_mm) == {1, 4}, "no Avg(A) of more poses than there are"
    assert errors.max_mm == pytest.approx(errors.average_mm[1])
    assert errors.oracle_mm == pytest.approx(0.0, abs=0.1), "the poses are the bank's own"
