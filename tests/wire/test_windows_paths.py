"""Paths of Windows, judged by their text: length, and names of other computers."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import OutputError
from backend.server.auth import _resolve_within, path_within
from backend.solving.outputs import check_length
from blender_addon.wire.windows_paths import is_too_long, network_host, share_of


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (r"C:\plates\take.mp4", ""),
        (r"\\?\C:\plates\take.mp4", ""),
        ("/srv/plates/take.mp4", ""),
        ("take.mp4", ""),
        (r"\\Stranger\share\x.mp4", "stranger"),
        ("//stranger/share/x.mp4", "stranger"),
        (r"\/stranger\share\x.mp4", "stranger"),
        (r"\\?\UNC\stranger\share\x.mp4", "stranger"),
        (r"\\?\unc\stranger\share\x.mp4", "stranger"),
        (r"\\.\UNC\stranger\share\x.mp4", "stranger"),
        ("//?/UNC/stranger/share/x.mp4", "stranger"),
        (r"\\stranger@8080\DavWWWRoot\x.mp4", "stranger"),
        (r"\\stranger@SSL\share\x.mp4", "stranger"),
        (r"\\?\GLOBALROOT\Device\Mup\stranger\share\x.mp4", "stranger"),
        (r"\\.\pipe\x", "?"),
        (r"\\?\Volume{1}\x.mp4", "?"),
        (r"\\", "?"),
    ],
)
def test_the_computer_that_a_path_names(path: str, host: str) -> None:
    assert network_host(path) == host


def test_a_path_on_a_strangers_computer_is_refused_before_windows_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(self: Path, strict: bool = False) -> Path:
        raise AssertionError(f"{self} was looked at")

    roots = (tmp_path,)
    monkeypatch.setattr(Path, "resolve", touched)
    for path in (r"\\stranger\share\x.mp4", "//stranger/share/x.mp4", r"\\?\UNC\stranger\share\x.mp4", r"\\.\pipe\x"):
        assert path_within(path, roots, platform="win32") is None
    nas = (Path("//nas/plates"),) if Path("//nas/plates").drive else ()
    for root in nas:  # on Windows alone a Path knows shares
        assert path_within(r"\\nas\other\x.mp4", (root,), platform="win32") is None
        with pytest.raises(AssertionError, match="looked at"):
            _resolve_within(r"\\nas\plates\x.mp4", (root,), platform="win32")


def test_shares_are_compared_without_case() -> None:
    assert share_of(r"\\NAS\Plates\take.mp4") == share_of("//nas/plates/other.mp4") == r"\\nas\plates"
    assert share_of(r"\\?\UNC\NAS\Plates\take.mp4") == r"\\nas\plates"
    assert share_of(r"C:\plates\take.mp4") == share_of(r"\\.\pipe\x") == ""


def test_a_path_too_long_for_windows_is_told_as_that(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 250 + ".npz")
    assert is_too_long(long, 0, False, "win32")
    assert not is_too_long(long, 0, True, "win32")
    assert not is_too_long(long, 0, False, "linux")
    with pytest.raises(OutputError, match="Windows takes 239") as fault:
        check_length(long, False, "win32")
    assert "long paths" in fault.value.remedy
    check_length(long, False, "linux")
    check_length(tmp_path / "take.npz", False, "win32")
