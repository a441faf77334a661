"""Build the source distribution and the wheel, install the wheel away from the checkout, run it, uninstall it.

    .venv/bin/python tools/check_wheel.py [--output-dir dist] [--clip VIDEO]

The new environment borrows the installed dependencies of the one that runs this, so nothing is downloaded. The
installed command looks itself over (`doctor`) and solves a video, in an empty home; after uninstalling neither the
environment nor the home may hold anything of it. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("backend/", "blender_addon/", "skeleton_maps/")
SHIPPED = {".py", ".json", ".safetensors", ".onnx", ".npz"}
EXTRAS = {"gpu", "train", "batch", "blender", "dev", "docs"}
VIDEO = ROOT / "assets" / "demo_clip.mp4"


class WheelError(RuntimeError):
    """The wheel lacks something, or does not run outside the checkout."""


def run(*command: str | Path, cwd: Path, home: Path | None = None) -> str:
    """Run a command away from the checkout; raises WheelError with its output when it fails."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if home is not None:
        clean = {key: value for key, value in clean.items() if not key.startswith("XDG_")} | {"HOME": str(home)}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise WheelError(f"{' '.join(map(str, command))} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def tracked_files() -> list[str]:
    """What git knows of: the wheel is built from that, not from what happens to lie about."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    return [line for line in listed.splitlines() if (ROOT / line).is_file()]


def build(work: Path) -> list[Path]:
    """Source distribution and, from it, the wheel."""
    source = work / "source"
    for name in tracked_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", work / "built", source, cwd=work)
    return sorted((work / "built").iterdir())


def check_contents(wheel: Path) -> None:
    """Every module and data file of the packages is in the wheel, and nothing of the rest of the repository."""
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
        about = next(name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        lines = opened.read(about).decode().splitlines()
    wanted = {name for name in tracked_files() if name.startswith(PACKAGES) and Path(name).suffix in SHIPPED}
    missing = sorted(wanted - names)
    foreign = sorted(name for name in names if not name.startswith(PACKAGES))
    if missing or foreign:
        raise WheelError(f"{wheel.name}: missing {missing[:8]}, foreign {foreign[:8]}")
    extras = {line.partition(": ")[2] for line in lines if line.startswith("Provides-Extra: ")}
    if extras != EXTRAS:
        raise WheelError(f"{wheel.name}: its extras are {sorted(extras)}, not {sorted(EXTRAS)}")


def make_environment(work: Path, wheel: Path) -> Path:
    """An environment with the wheel of its own and the dependencies of this one; returns its `bin`."""
    home = work / "environment"
    venv.create(home, with_pip=False)
    site = next(home.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    run(sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install", "-q", "--no-deps", wheel, cwd=work)
    return home / "bin"


def try_out(binaries: Path, work: Path, clip: Path) -> Path:
    """The installed command finds nothing wrong with itself and solves a video; returns the home that it had."""
    away, home = work / "elsewhere", work / "home"
    away.mkdir()
    home.mkdir()
    where = run(binaries / "python", "-c", "import backend; print(backend.__file__)", cwd=away).strip()
    if not Path(where).is_relative_to(binaries.parent):
        raise WheelError(f"backend is imported from {where}, not from the wheel")
    print(run(binaries / "marionet", "doctor", cwd=away, home=home))
    looks = ("--overlay", "overlay.mp4", "--sheet", "sheet.png", "--plot", "plot.png")
    options = ("--quality", "fast", "--range", "0:24", *looks)
    run(binaries / "marionet", "solve", clip.resolve(), "-o", "clip.npz", *options, cwd=away, home=home)
    made = ", ".join(f"{path.name} {path.stat().st_size / 1e3:.0f} kB" for path in sorted(away.iterdir()))
    print(f"solved {clip.name}: {made}")
    return home


def uninstall(binaries: Path, work: Path, home: Path) -> None:
    """Uninstalling leaves no file behind, and neither did running. Caches of matplotlib and others are not ours."""
    python = binaries / "python"
    run(sys.executable, "-m", "pip", "--python", python, "uninstall", "-q", "-y", "marionet", cwd=work)
    site = next(binaries.parent.glob("lib/python*/site-packages"))
    left = [path for name in PACKAGES for path in (site / name).rglob("*") if path.suffix != ".pyc" and path.is_file()]
    left += list(site.glob("marionet*")) + list(binaries.glob("marionet*"))
    left += [path for path in home.rglob("*") if "marionet" in path.relative_to(home).as_posix().lower()]
    if left:
        raise WheelError(f"left after uninstalling: {left[:8]}")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", type=Path, help="keep the built files here")
    parser.add_argument("--clip", type=Path, default=VIDEO, help="a video for the installed command to solve")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="marionet-wheel-"))
    try:
        built = build(work)
        wheel = next(path for path in built if path.suffix == ".whl")
        check_contents(wheel)
        binaries = make_environment(work, wheel)
        home = try_out(binaries, work, options.clip)
        uninstall(binaries, work, home)
        if options.output_dir:
            options.output_dir.mkdir(parents=True, exist_ok=True)
            for path in built:
                shutil.copy2(path, options.output_dir)
        print(f"{wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB): built, installed, run, removed")
    except WheelError as fault:
        print(f"FAILED: {fault}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
