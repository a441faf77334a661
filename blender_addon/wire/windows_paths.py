r"""What is special about paths on Windows: their length, and names of other computers. stdlib only.

The functions look at text alone, never at the disk: to ask Windows about `\\host\share` is to log in there.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path, PureWindowsPath

LONGEST_PATH = 259
_UNC_DEVICE = re.compile(r"^\\\\[?.]\\(?:UNC|GLOBALROOT\\Device\\Mup)\\", re.IGNORECASE)
_LOCAL_DEVICE = re.compile(r"^\\\\[?.]\\")


def is_too_long(path: Path, more: int = 0, long_paths: bool | None = None, platform: str = sys.platform) -> bool:
    """Whether Windows would refuse `path` with `more` characters behind it; `long_paths`: None asks the system."""
    if platform != "win32" or len(str(path)) + more <= LONGEST_PATH:
        return False
    return not (long_paths_are_on() if long_paths is None else long_paths)


def long_paths_are_on() -> bool:
    """Whether this system takes paths longer than 259 characters; always so on other systems than Windows."""
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
                return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
        except OSError:
            return False
    return True


def network_host(path: str) -> str:
    r"""The computer that a Windows path names (`\\host\share\...`), in lower case; empty for a path on this one.

    Device names that lead elsewhere (`\\.\pipe`, `\\?\Volume...`) have the host "?".
    """
    text = path.strip().replace("/", "\\")
    text = _UNC_DEVICE.sub(r"\\\\", text)
    if _LOCAL_DEVICE.match(text):
        return "" if re.match(r"^\\\\[?.]\\[A-Za-z]:\\", text) else "?"
    if not text.startswith("\\\\"):
        return ""
    return text.lstrip("\\").partition("\\")[0].partition("@")[0].lower() or "?"


def share_of(path: str) -> str:
    r"""The share of a UNC path as `\\host\share` in lower case; empty for any other path."""
    text = _UNC_DEVICE.sub(r"\\\\", path.strip().replace("/", "\\"))
    drive = PureWindowsPath(text).drive
    return drive.lower() if drive.startswith("\\\\") and network_host(text) not in ("", "?") else ""
