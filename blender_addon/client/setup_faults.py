"""Why a set-up failed, in words with what to do, from a step's output. stdlib only."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownFault:
    """A way to fail: what the output says then, the user's words for it, and the remedy."""

    pattern: str
    words: str
    remedy: str


# The first that fits is told: causes stand before their consequences.
KNOWN_FAULTS = (
    KnownFault(
        r"No space left on device|Errno 28\b|WinError 112\b|Disk quota exceeded",
        "the disk is full",
        "Free 1 GB on the disk of the folder that is named above, then try again",
    ),
    KnownFault(
        r"DO NOT MATCH THE HASHES|has an invalid hash|Hashes are required",
        "a downloaded package is not the one that Marionet was tested with, so it was not installed",
        "Try again. If it happens again, the package index that pip is set to use changes packages: "
        "ask who looks after your network",
    ),
    KnownFault(
        r"CERTIFICATE_VERIFY_FAILED|SSLError|certificate verify failed|CERTIFICATE",
        "the package index could not be trusted (TLS certificate)",
        "Check the computer's date. Behind a company's proxy, name its certificate in the variable PIP_CERT",
    ),
    KnownFault(
        r"ProxyError|Tunnel connection failed|407 Proxy",
        "the proxy refused the connection to the package index",
        "Set the variable HTTPS_PROXY to your proxy, with its user name and password, and start Blender again",
    ),
    KnownFault(
        r"NewConnectionError|NameResolutionError|getaddrinfo failed|Name or service not known|"
        r"Temporary failure in name resolution|Network is unreachable|Connection refused|ConnectionResetError|"
        r"Connection aborted|Read timed out|ConnectTimeout|Max retries exceeded|IncompleteRead|"
        r"Connection broken|nodename nor servname",
        "the package index cannot be reached",
        "Check the internet connection, then try again: what was downloaded is not downloaded twice. A computer "
        "without internet: see Offline in docs/how_to/install.md",
    ),
    KnownFault(
        r"HTTP error 5\d\d|50[0234] (Server|Client) Error|429 ",
        "the package index answers with an error",
        "Wait some minutes, then try again",
    ),
    KnownFault(
        r"WinError 206\b|Long Path support|File name too long|Errno 36\b|path too long",
        "a path is too long for this system",
        "Turn on long paths in Windows (docs/how_to/install.md), or use a user name and profile with a shorter path",
    ),
    KnownFault(
        r"Permission denied|PermissionError|Access is denied|WinError 5\b|WinError 32\b|Read-only file system",
        "a file could not be written",
        "Close other Blenders that use the backend; check the folder's rights and whether a virus scanner holds "
        "the file, then try again",
    ),
    KnownFault(
        r"ensurepip|No module named (venv|pip)\b",
        "this Python cannot make environments",
        "Choose another Python for Set-up (Debian and Ubuntu: `sudo apt install python3-venv`)",
    ),
    KnownFault(
        r"No matching distribution|Could not find a version that satisfies|is not a supported wheel",
        "a package does not exist for this computer or this Python",
        "Use Python 3.11, 3.12 or 3.13, 64-bit; Linux needs glibc 2.28, macOS version 14 (13 on Intel). "
        "Or name a server as the backend",
    ),
    KnownFault(
        r"DLL load failed|vcruntime140|MSVCP140",
        "a package needs Microsoft's C++ library, which is missing",
        "Install the Visual C++ Redistributable (x64) from Microsoft, then try again",
    ),
    KnownFault(
        r"GLIBC_[\d.]+' not found|GLIBCXX_[\d.]+' not found",
        "this Linux is too old for a package",
        "glibc 2.28 is needed. Or name a server as the backend",
    ),
    KnownFault(r"No Python at", "the Python that made the environment is gone", "Try again: it is made anew"),
    KnownFault(
        r"this machine cannot solve yet",
        "the backend is installed and finds a fault with this computer",
        "See the lines that begin with `fault` in the log",
    ),
)


def explain(output: str, code: int) -> tuple[str, str]:
    """(words, remedy) for a step that ended with `code` after `output`; a fault that is not known gets its code."""
    for known in KNOWN_FAULTS:
        if re.search(known.pattern, output):
            return known.words, known.remedy
    if code in (-9, 137):
        return "the system ended the command, probably for lack of memory", "Close other programs, then try again"
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
    return f"the command ended with {code} ({last[:200]})" if last else f"the command ended with {code}", ""
