"""`doctor`: whether this machine can solve: packages, codecs, networks, devices, space; a remedy for each fault."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from backend.cli.output import Terminal
from backend.errors import BlenderError, DeviceError, MarionetError, VideoError, WeightsError

_PACKAGES: Final = ("numpy", "scipy", "av", "opencv-python-headless", "onnxruntime", "safetensors", "pyzmq", "pillow")
# Packages that bring the same module: one of them is enough.
_IN_PLACE_OF: Final = {"onnxruntime": ("onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-gpu")}
_OPTIONAL: Final = {
    "torch": "CUDA and training",
    "matplotlib": "--plot",
    "faiss-cpu": "banks larger than memory",
    "ray": "batch --ray",
    "fsspec": "batches into a URL",
}
_DECODERS: Final = ("h264", "hevc", "vp9", "av1")
_LEAST_FREE_BYTES: Final = 1 << 30
_OK, _WARNING, _FAULT = "ok", "warning", "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was looked at, "ok", "warning" or "fault", what was found, and what to do."""

    subject: str
    state: str
    found: str
    remedy: str = ""
    exit_code: int = 0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="check devices, codecs, weights and packages",
        description="Check that this machine can solve, and show how to fix problems. The exit code is 0 if it can.",
    )
    parser.add_argument("--json", action="store_true", help="findings as JSON lines")


def run(args: argparse.Namespace) -> int:
    """Print the findings; the exit code of the first fault, or 0."""
    terminal = Terminal(as_json=args.json)
    worst = 0
    for finding in findings():
        terminal.line(f"{finding.state:<8} {finding.subject:<26} {finding.found}")
        if finding.remedy:
            terminal.line(f"{'':<8} {'':<26} -> {finding.remedy}")
        terminal.event("finding", **asdict(finding))
        if finding.state == _FAULT:
            worst = worst or finding.exit_code or 1
    terminal.line("this machine can solve" if worst == 0 else "this machine cannot solve yet: see the faults above")
    return worst


def findings() -> Iterator[Finding]:
    """Every check, one after the other."""
    yield _python()
    yield from _packages()
    yield from _codecs()
    yield from _networks()
    yield from _devices()
    yield _blender()
    yield _space(Path(tempfile.gettempdir()))


def _python() -> Finding:
    name = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", _OK, name)


def _packages() -> Iterator[Finding]:
    for name in _PACKAGES:
        found = next(filter(None, map(_version_of, (name, *_IN_PLACE_OF.get(name, ())))), "")
        if found:
            yield Finding(f"package {name}", _OK, found)
        else:
            yield Finding(f"package {name}", _FAULT, "not installed", f"pip install {name}", 1)
    for name, use in _OPTIONAL.items():
        try:
            yield Finding(f"package {name}", _OK, version(name))
        except PackageNotFoundError:
            yield Finding(f"package {name}", _OK, f"not installed (only for {use})")


def _version_of(package: str) -> str:
    """A package's version, with its name where it stands in place of another; "" where it is not installed."""
    stands_in = any(package in others for others in _IN_PLACE_OF.values())
    try:
        return version(package) + (f" ({package})" if stands_in else "")
    except PackageNotFoundError:
        return ""


def _codecs() -> Iterator[Finding]:
    import av

    for name in _DECODERS:
        there = name in av.codecs_available
        remedy = "" if there else "Install the `av` package from PyPI, which carries its own decoders"
        yield Finding(
            f"decoder {name}", _OK if there else _FAULT, "there" if there else "missing", remedy, VideoError.exit_code
        )
    if "libx264" in av.codecs_available:
        yield Finding("encoder for --overlay", _OK, "libx264")
    else:
        yield Finding("encoder for --overlay", _WARNING, "no libx264: overlays become larger mpeg4 files")


def _networks() -> Iterator[Finding]:
    from backend.networks import NETWORK_NAMES, RuntimeOptions, load_network

    for name in NETWORK_NAMES:
        yield _tried(f"network {name}", lambda name=name: _time_network(load_network(name, RuntimeOptions())))  # type: ignore[misc]
    yield _pose_model()


def _pose_model() -> Finding:
    from backend.embedding.pose_model import load_model

    return _tried("pose towers and bank", lambda: load_model("cpu").name)


def _time_network(network: object) -> str:
    from backend.networks import Network

    assert isinstance(network, Network)
    image = network.blank()
    network.run(image)
    began = time.perf_counter()
    for _ in range(3):
        network.run(image)
    return f"{(time.perf_counter() - began) / 3 * 1000:.1f} ms an image on one core"


def _tried(subject: str, check: Callable[[], str]) -> Finding:
    """A check whose MarionetError is the finding."""
    try:
        return Finding(subject, _OK, check())
    except MarionetError as error:
        return Finding(subject, _FAULT, error.message, error.remedy, error.exit_code or WeightsError.exit_code)


def _devices() -> Iterator[Finding]:
    from backend.networks.providers import try_providers
    from backend.solving.device import choose_device, cuda_devices

    count = cuda_devices()
    if not count:
        yield Finding("device cuda", _OK, "none: torch with CUDA and an NVIDIA driver are needed")
    for number in range(count):
        import torch

        properties = torch.cuda.get_device_properties(number)
        yield Finding(f"device cuda:{number}", _OK, f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    for trial in try_providers():
        yield Finding(f"device {trial.provider.value}", _WARNING if trial.fault else _OK, trial.describe())
    try:
        yield Finding("device auto", _OK, choose_device("auto"))
    except DeviceError as error:
        yield Finding("device auto", _FAULT, error.message, error.remedy, error.exit_code)


def _blender() -> Finding:
    """The Blender of `batch`. None is no fault: solving needs none."""
    from backend.batch.tasks import OutputKind
    from backend.export.find_blender import VARIABLE, find_blender

    try:
        return Finding("blender for batch", _OK, str(find_blender().program))
    except BlenderError as error:
        if os.environ.get(VARIABLE):
            return Finding("blender for batch", _WARNING, error.message, f"{error.remedy}, or unset {VARIABLE}")
        made = ", ".join(kind.value for kind in OutputKind if kind.needs_blender)
        return Finding("blender for batch", _OK, f"none was found (`batch` needs it only for {made})")


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free in {folder}"
    if free < _LEAST_FREE_BYTES:
        return Finding("disk", _WARNING, text, "Long solves keep a checkpoint beside the clip: leave 1 GiB")
    return Finding("disk", _OK, text)
