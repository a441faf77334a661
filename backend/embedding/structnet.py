"""`structnet`: the paper's own network, layer by layer, in torch (Li, Zhang, Chan, ICCV 2015, figure 2 and section 4).

Image: 3 x 112 x 112, mean subtracted. Three convolutions, each max-pooled 3x3 stride 2 in ceil mode (maps of 52, 24,
10); pool2 and pool3 feed fully connected layers of 256 and 1024, concatenated under 75 % dropout; then 2048 and the
embedding of 1024. The auxiliary head reads the 2048 layer. Pose: 51 coordinates / 1200 mm through 1024 and 1024.
Scores are raw dot products of two ReLU vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import torch
from torch import Tensor, nn

from backend.keypoint_layouts import HUMAN36M

IMAGE_SIDE = 112
POSE_UNIT_M = 1.2
EMBEDDING = 1024


class PoseBranch(Enum):
    """The paper's ablation of the pose network (table 3)."""

    RAW = 0
    ONE_LAYER = 1
    TWO_LAYERS = 2


@dataclass(frozen=True, slots=True)
class StructNetOutput:
    """f_I (B, 1024) and the auxiliary pose (B, 17, 3) in m."""

    embedding: Tensor
    joints_m: Tensor


class StructNetImage(nn.Module):
    """Images (B, 3, 112, 112) -> StructNetOutput. Convolutions can be frozen, as in the paper's max-margin stage.

    With `signed` there is no ReLU after the embedding: a raw pose has negative coordinates, which no non-negative
    vector could prefer.
    """

    def __init__(self, embedding: int = EMBEDDING, signed: bool = False) -> None:
        super().__init__()
        self.signed = signed
        self.conv1 = nn.Conv2d(3, 32, 9)
        self.conv2 = nn.Conv2d(32, 64, 5)
        self.conv3 = nn.Conv2d(64, 64, 5)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.fc_p2 = nn.Linear(64 * 24 * 24, 256)
        self.fc_p3 = nn.Linear(64 * 10 * 10, 1024)
        self.dropout = nn.Dropout(0.75)
        self.fc_j1 = nn.Linear(256 + 1024, 2048)
        self.fc_img = nn.Linear(2048, embedding)
        self.fc_j2 = nn.Linear(2048, HUMAN36M.count * 3)

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """pool2 (B, 64, 24, 24) and pool3 (B, 64, 10, 10); there is no activation after the third convolution."""
        pool1 = self.pool(torch.relu(self.conv1(images)))
        pool2 = self.pool(torch.relu(self.conv2(pool1)))
        return pool2, self.pool(self.conv3(pool2))

    def forward(self, images: Tensor) -> StructNetOutput:
        """Embedding and auxiliary pose of images (B, 3, 112, 112)."""
        return self.head(*self.features(images))

    def head(self, pool2: Tensor, pool3: Tensor) -> StructNetOutput:
        """Embedding and auxiliary pose from the pooled maps: all that is trained once the convolutions are frozen."""
        h1, h2 = torch.relu(self.fc_p2(pool2.flatten(1))), torch.relu(self.fc_p3(pool3.flatten(1)))
        h3 = torch.relu(self.fc_j1(self.dropout(torch.cat([h1, h2], dim=1))))
        joints = torch.tanh(self.fc_j2(h3)).reshape(-1, HUMAN36M.count, 3) * POSE_UNIT_M
        embedding = self.fc_img(h3)
        return StructNetOutput(embedding if self.signed else torch.relu(embedding), joints)

    def freeze_convolutions(self) -> None:
        """Keep the convolutions as they are (the paper initialises them by multi-task training)."""
        for convolution in (self.conv1, self.conv2, self.conv3):
            convolution.requires_grad_(False)


class StructNetPose(nn.Module):
    """Joints (..., 17, 3) in m relative to the pelvis -> f_J. With PoseBranch.RAW it is the scaled pose itself."""

    def __init__(self, branch: PoseBranch = PoseBranch.TWO_LAYERS, embedding: int = EMBEDDING) -> None:
        super().__init__()
        self.branch = branch
        sizes = [HUMAN36M.count * 3, embedding, embedding][: branch.value + 1]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.size = sizes[-1]

    def forward(self, joints_m: Tensor) -> Tensor:
        """f_J (..., E) of joints (..., 17, 3) in m."""
        x = joints_m.flatten(-2) / POSE_UNIT_M
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


def paired_networks(branch: PoseBranch) -> tuple[StructNetImage, StructNetPose]:
    """Both networks of a configuration: image and pose embeddings of one size."""
    pose = StructNetPose(branch)
    return StructNetImage(pose.size, signed=branch is PoseBranch.RAW), pose


def start_as_published(image: StructNetImage, pose: StructNetPose) -> None:
    """The authors' initialisation: fully connected 0.001, pose layers 0.1 standard deviation, biases 0."""
    for layer in (image.fc_p2, image.fc_p3, image.fc_j1, image.fc_img, image.fc_j2):
        nn.init.normal_(layer.weight, std=0.001)
        nn.init.zeros_(layer.bias)
    for layer in pose.layers:
        nn.init.normal_(layer.weight, std=0.1)
        nn.init.zeros_(layer.bias)
