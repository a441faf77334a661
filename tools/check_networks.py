"""Compares the converted networks with the original files in their own runtime (LiteRT) on the same images.

    python -m tools.check_networks [--video FILE] [--cache FOLDER] [--peer-python PYTHON]

Downloads the same packages as `tools.convert_networks`; LiteRT runs in an environment of its own, made in a
temporary folder unless `--peer-python` names one that has `ai-edge-litert` and numpy. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from backend.networks import RuntimeOptions, load_network
from backend.networks.network import Outputs
from tools.convert_networks import SOURCES, fetch

LOG = logging.getLogger(__name__)
IMAGES = 8
LITERT = ("ai-edge-litert==2.3.0", "numpy==1.26.4")
# Position of each of our outputs among those of the original.
OUTPUT_ORDER = {"landmarks": 0, "presence": 1, "heatmaps": 3, "world": 4}
DETECTOR_ORDER = {
    "pose_detector": ("boxes", "scores"),
    "person_detector": ("scores", "boxes"),
    "palm_detector": ("boxes", "scores"),
    "face_detector": ("boxes", "scores"),
    "hand_landmarks": ("landmarks", "presence", "handedness", "world"),
    "face_landmarks": ("landmarks", "presence"),
    "face_blendshapes": ("weights",),
}
PEER_PROGRAM = """
import sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter
model, images, target = sys.argv[1:]
interpreter = Interpreter(model_path=model, num_threads=1)
interpreter.allocate_tensors()
given, wanted = interpreter.get_input_details()[0], interpreter.get_output_details()
results, started = [], time.perf_counter()
for image in np.load(images):
    interpreter.set_tensor(given["index"], image[None].astype(given["dtype"]))
    interpreter.invoke()
    results.append([interpreter.get_tensor(output["index"]) for output in wanted])
took = (time.perf_counter() - started) / len(results)
np.savez(target, took=took, **{f"o{i}": np.concatenate(parts) for i, parts in enumerate(zip(*results))})
"""


def images_of(video: Path | None, size: int) -> NDArray[np.uint8]:
    """IMAGES square images: evenly spaced frames of a video, or smooth noise."""
    if video is None:
        noise = np.random.default_rng(0).integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)
        return np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC) for image in noise])
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, IMAGES).astype(int)]
    return np.stack([cv2.resize(_letterboxed(frame), (size, size), interpolation=cv2.INTER_AREA) for frame in chosen])


def faces(points: int) -> NDArray[np.float32]:
    """IMAGES sets of points around an oval, about as far apart as a face's, centred and at a mean distance of 1."""
    random = np.random.default_rng(0)
    turn = random.uniform(0.0, 2.0 * np.pi, (IMAGES, points))
    oval = np.stack([np.cos(turn), 1.3 * np.sin(turn)], axis=-1) * np.sqrt(random.uniform(0, 1, (IMAGES, points, 1)))
    oval -= oval.mean(axis=1, keepdims=True)
    return (oval / np.linalg.norm(oval, axis=-1).mean(axis=1)[:, None, None]).astype(np.float32)


def _letterboxed(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    side = max(height, width)
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = frame
    return square


def original_outputs(
    name: str, images: NDArray[Any], python: str, folder: Path, cache: Path
) -> dict[str, NDArray[Any]]:
    """Run the original .tflite in LiteRT on one thread; arrays by our output names, and `took` s an image."""
    model, given, target = folder / f"{name}.tflite", folder / "images.npy", folder / f"{name}.npz"
    model.write_bytes(fetch(SOURCES[name], cache))
    scale, offset = SOURCES[name].normalisation
    raw = name in ("person_detector", "face_blendshapes")
    np.save(given, images if raw else images.astype(np.float32) * scale + offset)
    subprocess.run(
        [python, "-c", PEER_PROGRAM, str(model), str(given), str(target)], check=True, stderr=subprocess.DEVNULL
    )
    with np.load(target) as stored:
        results = {key: stored[key] for key in stored.files}
    order = OUTPUT_ORDER
    if name in DETECTOR_ORDER:
        order = {label: position for position, label in enumerate(DETECTOR_ORDER[name])}
    named = {label: results[f"o{position}"] for label, position in order.items()}
    return {"took": results["took"], **named}


def compare(name: str, ours: Outputs, theirs: dict[str, NDArray[Any]]) -> str:
    """One line that says how far the results are apart, in units that mean something."""
    if name in ("hand_landmarks", "face_landmarks", "face_blendshapes"):
        gaps = {key: np.abs(ours[key].reshape(-1) - theirs[key].reshape(-1)) for key in ours}
        parts = [f"{key} max {gap.max():.1e}" + (" px" if key == "landmarks" else "") for key, gap in gaps.items()]
    elif name == "person_detector":
        theirs = {**theirs, "scores": theirs["scores"][..., :1]}
        likely = theirs["scores"][..., 0] > 0.4
        parts = [
            f"{label} mean {np.abs(ours[key] - theirs[key])[likely].mean():.3f} ({likely.sum()} anchors)"
            for label, key in (("person score", "scores"), ("box code", "boxes"))
        ]
    elif name in DETECTOR_ORDER:
        parts = [f"{key} max {np.abs(ours[key] - theirs[key]).max():.1e}" for key in ("scores", "boxes")]
    else:
        theirs = {**theirs, "heatmaps": theirs["heatmaps"].transpose(0, 3, 1, 2)}
        gap = {key: np.abs(ours[key] - theirs[key]) for key in OUTPUT_ORDER}
        parts = [
            f"landmarks max {gap['landmarks'].reshape(-1, 39, 5)[..., :2].max():.1e} px of 256",
            f"world max {1e3 * gap['world'].max():.1e} mm",
            f"presence max {gap['presence'].max():.1e}",
            f"heatmap logits max {gap['heatmaps'].max():.1e}",
        ]
    return "; ".join(parts)


def timed(run: Callable[[NDArray[Any]], Outputs], images: NDArray[Any]) -> tuple[Outputs, float]:
    """Results for all images, given one at a time, and the seconds an image took."""
    run(images[:1])
    started = time.perf_counter()
    results = [run(image[None]) for image in images]
    took = (time.perf_counter() - started) / len(images)
    return {key: np.concatenate([part[key] for part in results]) for key in results[0]}, took


def peer_python(folder: Path) -> str:
    """A fresh environment with LiteRT."""
    venv.create(folder / "litert", with_pip=True)
    python = folder / "litert" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *LITERT], check=True)
    return str(python)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="frames to compare on; smooth noise without it")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--peer-python")
    parser.add_argument("--only", nargs="+", choices=SOURCES, default=list(SOURCES))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        python = arguments.peer_python or peer_python(folder)
        lines = [
            "| network | ours against LiteRT | ONNX Runtime against torch, max relative | ms: ONNX Runtime | LiteRT |",
            "|---|---|---|---|---|",
        ]
        for name in arguments.only:
            network = load_network(name, RuntimeOptions(threads=1))
            points = network.graph.input_points
            images = faces(points) if points else images_of(arguments.video, network.input_size)
            given, (ours, took) = images, timed(network.run, images)
            images = images * 80.0 + 120.0 if points else images  # the original scales its points itself
            theirs = original_outputs(name, images, python, folder, arguments.cache or folder)
            twin = load_network(name, RuntimeOptions("torch")).run(given)
            gap = max(float(np.abs(ours[key] - twin[key]).max() / np.abs(twin[key]).max()) for key in twin)
            lines.append(
                f"| {name} | {compare(name, ours, theirs)} | {gap:.1e} | {took * 1e3:.1f} | "
                f"{float(theirs['took']) * 1e3:.1f} |"
            )
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
