"""The rooms that must live without Blender and without torch do: every module is imported with both blocked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ADDON_ROOMS = ("wire", "client", "motion", "retarget")
# Modules that exist for torch; nothing outside them may need it at import time.
TORCH_ROOMS = ("backend/training/", "backend/synthesis/")
# A program of its own, which runs in Blender's Python and is imported by nothing.
INSIDE_BLENDER = "backend/export/inside_blender.py"

PROGRAM = """
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is blocked in this test")

sys.meta_path.insert(0, Blocked())
sys.path.insert(0, {root!r})
for module in {modules!r}:
    importlib.import_module(module)
print(len({modules!r}))
"""


def import_all(root: Path, modules: list[str], blocked: set[str]) -> None:
    program = PROGRAM.format(blocked=sorted(blocked), root=str(root), modules=modules)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root.parent, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(modules) > 0


def modules_below(root: Path, folder: str) -> list[str]:
    files = sorted((root / folder).rglob("*.py"))
    return [".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in files]


@pytest.mark.parametrize("room", ADDON_ROOMS)
def test_addon_rooms_import_without_bpy_torch_or_the_backend(repository: Path, room: str) -> None:
    modules = modules_below(repository, f"blender_addon/{room}")
    import_all(repository, modules, {"bpy", "mathutils", "torch", "cv2", "scipy", "backend"})


def imports_torch_on_purpose(path: Path) -> bool:
    return any(
        line.startswith(("import torch", "from torch")) for line in path.read_text(encoding="utf-8").splitlines()
    )


def test_the_runtime_imports_without_bpy_and_torch(repository: Path) -> None:
    modules = []
    for path in sorted((repository / "backend").rglob("*.py")):
        relative = path.relative_to(repository).as_posix()
        elsewhere = relative.startswith((*TORCH_ROOMS, INSIDE_BLENDER)) or path.name == "__main__.py"
        if elsewhere or imports_torch_on_purpose(path):
            continue
        modules.append(relative.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
    optional = {"anny", "tflite", "tensorboard", "faiss", "ray", "fsspec"}
    import_all(repository, modules, {"bpy", "mathutils", "torch", *optional})
