"""Run a real, windowed Blender through the whole work and take screenshots: `python tools/gui_check.py`.

The Blender is Debian's (4.3, Python 3.13), in a root folder of its own, under a virtual display and a software
renderer. Needs root, `mmdebstrap` and a Debian mirror; where one is missing the check says so loudly and ends with 77
("skipped"), so that a CI stage can tell it from a pass. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY_ROOT))

SKIPPED = 77
SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ROOT_VARIABLE = "MARIONET_GUI_ROOT"
PACKAGES = (
    "blender,xvfb,xauth,xdotool,scrot,libgl1-mesa-dri,libegl1,openbox,python3-numpy,python3-requests,fonts-dejavu-core"
)

logger = logging.getLogger("gui_check")


class CannotRun(RuntimeError):
    """The machine cannot run the check; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: the root folder with Blender, the zip, the video, where images go, and the backend's Python."""

    root: Path
    archive: Path
    video: Path
    output: Path
    backend_python: Path
    timeout_s: float
    steps: str = ""
    take: tuple[Path, ...] = ()


def check_machine() -> None:
    """Raise CannotRun with what is missing."""
    if os.geteuid() != 0:
        raise CannotRun("it needs root (chroot)")
    if shutil.which("mmdebstrap") is None:
        raise CannotRun("mmdebstrap is not installed (apt-get install mmdebstrap)")
    if not KEYRING.is_file():
        raise CannotRun(f"{KEYRING} is missing (apt-get install debian-archive-keyring)")


def mirror() -> str:
    """The Debian mirror that apt is set up with."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    debian = [line.split()[0] for line in listed if line.endswith(" Debian")]
    if not debian:
        raise CannotRun("apt knows no Debian mirror (apt-get update)")
    return debian[0]


def make_root(root: Path) -> None:
    """Make the root folder with Blender in it, once; 80 s and 1.4 GB. Raises CannotRun when the mirror refuses."""
    if (root / "usr/bin/blender").is_file():
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    command = [
        *("mmdebstrap", "--mode=root", "--variant=apt", f"--keyring={KEYRING}"),
        *('--aptopt=APT::Install-Recommends "false"', f"--include={PACKAGES}", SUITE, str(root), mirror()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(root, ignore_errors=True)
        raise CannotRun(f"mmdebstrap ended with {done.returncode}:\n{done.stderr[-2000:]}")


def shown_folders(run: Run) -> list[Path]:
    """Folders that the chroot has to see at the same paths: the repository, the backend's Python, video and output."""
    command = [str(run.backend_python), "-c", "import sys; print(sys.base_prefix)"]
    home = Path(subprocess.check_output(command, text=True).strip())
    environment = run.backend_python.parents[1].resolve()  # a link to an environment elsewhere has to lead somewhere
    videos = [path.parent for path in (run.video, *run.take)]
    folders = [REPOSITORY_ROOT, environment, home, *videos, run.output, run.archive.parent]
    return [folder for folder in dict.fromkeys(folders) if folder != Path("/usr")]


def play(run: Run) -> dict[str, object]:
    """Play the scenario in a mount namespace of its own; returns the outcome. Raises RuntimeError without one."""
    lines = ["set -e"]
    for folder in shown_folders(run):
        inside = shlex.quote(f"{run.root}{folder}")
        lines += [f"mkdir -p {inside}", f"mount --bind {shlex.quote(str(folder))} {inside}"]
    lines += [f"mount -t proc proc {run.root}/proc", f"mount --bind /dev {run.root}/dev"]
    arguments = (run.archive, run.video, run.output, run.backend_python, REPOSITORY_ROOT, *run.steps.split(","))
    scenario = shlex.join(["--", *map(str, arguments)])
    display = 100 + os.getpid() % 10_000  # two runs on one machine share the names of displays
    inner = f"""
      export LIBGL_ALWAYS_SOFTWARE=1 HOME=/root LANG=C.UTF-8 BLENDER_USER_RESOURCES=$(mktemp -d)
      export MARIONET_GUI_TAKE={shlex.quote(os.pathsep.join(map(str, run.take)))}
      rm -f /tmp/.X{display}-lock; Xvfb :{display} -screen 0 1600x1000x24 >/dev/null 2>&1 &
      sleep 2; export DISPLAY=:{display}; openbox >/dev/null 2>&1 &
      timeout {run.timeout_s:.0f} blender --factory-startup -p 0 0 1600 1000 --enable-event-simulate \
        --python {shlex.quote(str(REPOSITORY_ROOT / "tools/gui_scenario.py"))} {scenario}
      kill %1 %2"""
    lines.append(f"chroot {shlex.quote(str(run.root))} bash -c {shlex.quote(inner)}")
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", "\n".join(lines)]
    with (run.output / "blender.log").open("wb") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    result = run.output / "result.json"
    if not result.is_file():
        tail = (run.output / "blender.log").read_text(errors="replace")[-3000:]
        raise RuntimeError(f"Blender left no result:\n{tail}")
    return json.loads(result.read_text())


def prepare(options: argparse.Namespace) -> Run:
    """Build the zip, get the video, make the root."""
    from tools.build_extension import build, find_blender_cli
    from tools.demo_clip import demo_clip

    check_machine()
    output = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    (output / "result.json").unlink(missing_ok=True)
    root = Path(options.root).resolve()
    make_root(root)
    archive = build(REPOSITORY_ROOT, output / "dist", find_blender_cli())[0]
    video = demo_clip(output / "video", options.video).path.resolve()
    take = tuple(path.resolve() for path in options.take or ())
    return Run(root, archive, video, output, options.backend_python.absolute(), options.timeout, options.steps, take)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    root = os.environ.get(ROOT_VARIABLE, cache / "marionet" / f"gui-{SUITE}")
    parser.add_argument("--root", default=root, help=f"folder of the Debian root (${ROOT_VARIABLE})")
    parser.add_argument("--output", type=Path, default=REPOSITORY_ROOT / "out" / "gui", help="screenshots and result")
    parser.add_argument("--video", type=Path, help="a video of your own")
    parser.add_argument("--take", type=Path, nargs="+", help="videos of one performance: only the steps of a take")
    parser.add_argument("--backend-python", type=Path, default=REPOSITORY_ROOT / ".venv/bin/python")
    parser.add_argument("--steps", default="", metavar="NAME,...", help="only these steps of tools/gui_scenario.py")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for the whole run")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run = prepare(options)
    except CannotRun as reason:
        logger.warning("=" * 100)
        logger.warning("SKIPPED: THE REAL BLENDER WINDOW WAS NOT TESTED, because %s", reason)
        logger.warning("=" * 100)
        return SKIPPED
    told = play(run)
    logger.info("%s", json.dumps({key: value for key, value in told.items() if key != "report"}, indent=1))
    log = (run.output / "blender.log").read_text(errors="replace")
    if "Traceback" in log:
        logger.error("a traceback in Blender's console:\n%s", log[log.index("Traceback") :][:3000])
        return 1
    return 0 if told["outcome"] == "passed" else 1


if __name__ == "__main__":
    raise SystemExit(main())
