"""The demo's video: hashed, whole or absent, with a shipped clip behind it."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from tools import demo_clip
from tools.demo_clip import DemoClipError, extract


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "package.whl"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("video.mp4", b"moving images")
    return path


def test_the_pinned_file_is_taken_out(archive: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "video.mp4"
    extract(archive, target, "video.mp4", hashlib.sha256(b"moving images").hexdigest())
    assert target.read_bytes() == b"moving images"
    assert [path.name for path in target.parent.iterdir()] == ["video.mp4"]


@pytest.mark.parametrize(("member", "complaint"), [("video.mp4", "SHA-256"), ("other.mp4", "holds no")])
def test_another_file_is_refused(archive: Path, tmp_path: Path, member: str, complaint: str) -> None:
    with pytest.raises(DemoClipError, match=complaint):
        extract(archive, tmp_path / "video.mp4", member, "0" * 64)
    assert not (tmp_path / "video.mp4").exists()


def test_a_video_in_the_cache_of_another_hash_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sports2d_demo.mp4").write_bytes(b"something else")

    def no_network(folder: Path) -> Path:
        raise DemoClipError("no network")

    monkeypatch.setattr(demo_clip, "download", no_network)
    with pytest.raises(DemoClipError, match="no network"):
        demo_clip.real_clip(tmp_path)


def test_without_a_network_the_shipped_clip_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "shipped.mp4"
    shipped.write_bytes(b"rendered")

    def no_network(folder: Path) -> Path:
        raise DemoClipError("no network")

    monkeypatch.setattr(demo_clip, "download", no_network)
    monkeypatch.setattr(demo_clip, "SHIPPED_CLIP", shipped)
    assert demo_clip.demo_clip(tmp_path / "cache").path == shipped


def test_pip_refuses_a_package_of_another_hash(tmp_path: Path) -> None:
    """Offline as well as online: the wheel at hand has not the hash that the requirement pins."""
    house = tmp_path / "index"
    house.mkdir()
    with zipfile.ZipFile(house / "sports2d-0.8.34-py3-none-any.whl", "w") as opened:
        opened.writestr(
            "sports2d-0.8.34.dist-info/METADATA", "Metadata-Version: 2.1\nName: sports2d\nVersion: 0.8.34\n"
        )
        opened.writestr("sports2d-0.8.34.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    requirement = tmp_path / "demo-clip.txt"
    requirement.write_text(f"--no-index\n--find-links {house}\n" + demo_clip.REQUIREMENT.read_text())
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(DemoClipError, match="Got"):
        demo_clip.download(out, requirement)
    assert list(out.iterdir()) == []


def test_an_own_video_must_exist(tmp_path: Path) -> None:
    with pytest.raises(DemoClipError, match="does not exist"):
        demo_clip.demo_clip(tmp_path, tmp_path / "absent.mp4")
