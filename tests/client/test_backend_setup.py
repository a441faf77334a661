"""Set Up Backend without Blender: what it runs, what it refuses, how it fails, and that a failure breaks nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from blender_addon.client import backend_setup, python_search, setup_faults
from blender_addon.client.backend_setup import (
    SetupError,
    SetupPlan,
    SetupRun,
    SetupStep,
    backend_source,
    environment_python,
    find_backend_python,
    made_beside,
    path_is_too_long,
    plan_beside,
    plan_setup,
    source_folder_of,
)
from blender_addon.client.python_search import NoPythonError, PythonFacts, choose_python, probe_python
from tests.server.harness import wait_for

PYTHON = Path(sys.executable)


def small_wheel(folder: Path, name: str, code: dict[str, str]) -> Path:
    """A wheel that pip installs."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as opened:
        for path, text in code.items():
            opened.writestr(path, text)
        opened.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        opened.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        opened.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed extension with a small backend that needs one package, and an index that has that package."""
    index = tmp_path / "index"
    needed = small_wheel(index, "needed", {"needed.py": "FOUND = 'needed'\n"})
    program = "import needed, sys; print('doctor:', needed.FOUND, *sys.argv[1:])\n"
    folder = tmp_path / "Renée Øst 日本" / "extension"
    small_wheel(folder / backend_setup.BUNDLE, "marionet", {"backend/__init__.py": "", "backend/__main__.py": program})
    digest = hashlib.sha256(needed.read_bytes()).hexdigest()
    for name in ("core.txt", "core-py313.txt"):
        (folder / backend_setup.BUNDLE / name).write_text(f"needed==1.0 \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return folder


def finish(run: SetupRun, patience_s: float = 240.0) -> str:
    wait_for(lambda: run.poll() != "running", "the set-up", patience_s)
    return run.state


def test_with_no_field_filled_in_the_backend_comes_with_the_extension(root: Path) -> None:
    final = root.parent / "profile" / "backend"
    run = SetupRun(plan_beside(final, None, "", root), root.parent / "profile" / "log")
    seen = set()
    while run.poll() == "running":
        seen.add(round(run.progress(), 1))
        time.sleep(0.02)
    assert run.state == "done", run.message
    assert "doctor: needed doctor" in "\n".join(run.log_tail())
    assert not made_beside(final).exists()
    assert len(seen) >= 3, "progress moves"
    assert run.progress() == 1.0
    # what took its place runs, wherever it was made
    inner = environment_python(final)
    done = subprocess.run((inner, "-I", "-m", "backend", "x"), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "doctor: needed x"


def test_a_failed_or_cancelled_set_up_leaves_the_backend_in_use_alone(root: Path, tmp_path: Path) -> None:
    final = tmp_path / "profile" / "backend"
    final.mkdir(parents=True)
    (final / "in use").write_text("yes")
    lock = root / backend_setup.BUNDLE
    for name in ("core.txt", "core-py313.txt"):
        (lock / name).write_text((lock / name).read_text().replace("sha256:", "sha256:0000")[:-5] + "\n")
    run = SetupRun(plan_beside(final, PYTHON, "", root), tmp_path / "log")
    assert finish(run) == "failed"
    assert "not the one that Marionet was tested with" in run.message
    assert run.remedy
    wait = SetupStep("Wait", (sys.executable, "-c", "import time; time.sleep(600)"))
    run = SetupRun(SetupPlan(made_beside(final), (wait,), final), tmp_path / "log")
    run.poll()
    run.cancel()
    assert run.state == "cancelled"
    assert (final / "in use").read_text() == "yes"
    assert not made_beside(final).exists()


def test_a_cancel_ends_the_children_of_a_step_too(tmp_path: Path) -> None:
    program = "import subprocess, sys; subprocess.call([sys.executable, '-c', 'import time; time.sleep(600)'])"
    run = SetupRun(SetupPlan(tmp_path / "e", (SetupStep("Wait", (sys.executable, "-c", program)),)), tmp_path / "log")
    run.poll()
    assert run._child is not None
    family = wait_for(lambda: psutil.Process(run._child.pid).children(recursive=True), "the child")
    run.cancel()
    _gone, alive = psutil.wait_procs(family, timeout=5)
    assert not alive


def test_an_index_that_cannot_be_reached_is_told_and_a_second_try_works(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = root.parent / "backend"
    monkeypatch.delenv("PIP_NO_INDEX")
    links = os.environ["PIP_FIND_LINKS"]
    monkeypatch.delenv("PIP_FIND_LINKS")
    for name, value in (("INDEX_URL", "http://127.0.0.1:9/simple"), ("EXTRA_INDEX_URL", ""), ("RETRIES", "1")):
        monkeypatch.setenv(f"PIP_{name}", value)
    run = SetupRun(plan_beside(final, PYTHON, "", root), root.parent / "log")
    assert finish(run) == "failed"
    assert "cannot be reached" in run.message
    assert "Check the internet connection" in run.message
    monkeypatch.setenv("PIP_FIND_LINKS", links)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert finish(SetupRun(plan_beside(final, PYTHON, "", root), root.parent / "log")) == "done"


def test_packages_come_from_the_lock_with_hashes_and_nothing_by_its_name(root: Path, repository: Path) -> None:
    for source in (root, repository):
        plan = plan_setup(PYTHON, root.parent / "environment", "", source)
        installs = [step.command for step in plan.steps if "install" in step.command]
        assert all("--no-deps" in command for command in installs)
        assert "--require-hashes" in installs[0]
        assert all("--require-hashes" in command or "--no-index" in command for command in installs)
        assert all(command[-1].endswith((".txt", ".whl")) for command in installs)
        assert all("-I" in step.command for step in plan.steps), "nothing is taken from the current folder"


@pytest.mark.parametrize("name", ["marionet", "requests", "marionet==0.7.0", "marionet[gpu]"])
def test_the_name_of_a_package_is_refused(root: Path, name: str) -> None:
    with pytest.raises(SetupError, match="never installed by name"):
        backend_source(name, root)


def test_a_missing_file_and_a_folder_without_a_backend_are_refused(root: Path, tmp_path: Path) -> None:
    for package, complaint in (
        (str(tmp_path / "gone"), "does not exist"),
        ("gone.whl", "does not exist"),
        (str(tmp_path), "holds no pyproject"),
    ):
        with pytest.raises(SetupError, match=complaint):
            backend_source(package, root)
    shutil.rmtree(root / backend_setup.BUNDLE)
    with pytest.raises(SetupError, match="holds no backend"):
        backend_source("", root)


def test_the_current_folder_shadows_nothing(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    (hostile / "backend").mkdir(parents=True)
    for name in ("venv.py", "pip.py", "needed.py", "backend/__init__.py", "backend/__main__.py"):
        (hostile / name).write_text("print('HOSTILE')\n")
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("PYTHONPATH", str(hostile))
    run = SetupRun(plan_beside(root.parent / "backend", PYTHON, "", root), root.parent / "log")
    assert finish(run) == "done", run.message
    assert "HOSTILE" not in run.log_path.read_text(encoding="utf-8")


def test_a_checkout_is_used_in_place(repository: Path, tmp_path: Path) -> None:
    source = backend_source(str(repository))
    assert source.folder == repository
    environment = tmp_path / "Øst 日本"
    subprocess.run((sys.executable, "-I", "-m", "venv", "--without-pip", str(environment)), check=True)
    step = plan_setup(PYTHON, environment, str(repository)).steps[2]
    subprocess.run(step.command, check=True)
    program = "import importlib.util as u; print(u.find_spec('backend').origin)"
    done = subprocess.run(
        (environment_python(environment), "-I", "-c", program), capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()) == repository / "backend" / "__init__.py"


def test_one_field_names_a_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "Marionet source"
    (checkout / "backend").mkdir(parents=True)
    for name in ("pyproject.toml", "backend/__main__.py"):
        (checkout / name).touch()
    python = environment_python(checkout / ".venv")
    python.parent.mkdir(parents=True)
    python.touch()
    assert source_folder_of(python) == checkout
    assert find_backend_python([checkout]) == python, "the checkout itself was named"
    assert find_backend_python([checkout / ".venv"]) == python
    assert find_backend_python([tmp_path / "gone", python]) == python
    assert source_folder_of(environment_python(tmp_path / "elsewhere")) is None


def test_this_python_can_make_the_environment() -> None:
    facts = probe_python(PYTHON)
    assert isinstance(facts, PythonFacts)
    assert (facts.version, facts.fault) == (sys.version_info[:2], "")
    assert choose_python(None, PYTHON) == (PYTHON, facts)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (PythonFacts((3, 10), 64, "linux-x86_64"), "3.11, 3.12 or 3.13 is needed"),
        (PythonFacts((3, 14), 64, "linux-x86_64"), "3.11, 3.12 or 3.13 is needed"),
        (PythonFacts((3, 11), 32, "win32"), "32-bit"),
        (PythonFacts((3, 12), 64, "win-arm64"), "ARM"),
        (PythonFacts((3, 13), 64, "linux-x86_64", (), True), "interpreter lock"),
        (PythonFacts((3, 11), 64, "linux-x86_64", ("ensurepip",)), "python3-venv"),
    ],
)
def test_a_python_that_cannot_serve_says_why(facts: PythonFacts, words: str) -> None:
    assert words in facts.fault


@pytest.mark.parametrize(
    ("platform", "remedy"), [("win32", "python.org/downloads/windows"), ("darwin", "brew install"), ("linux", "apt")]
)
def test_the_absence_of_a_python_is_explained_per_platform(
    platform: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python_search, "_installed", lambda _platform: iter(()))
    broken = tmp_path / "python.exe"
    broken.write_text("no program")
    with pytest.raises(NoPythonError, match=remedy) as fault:
        choose_python(None, broken, platform)
    assert str(broken) in str(fault.value)
    with pytest.raises(NoPythonError, match="Choose another Python for Set-up"):
        choose_python(tmp_path / "gone", PYTHON, platform)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("OSError: [WinError 112] There is not enough space on the disk", "disk is full"),
        ("ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED]", "could not be trusted"),
        ("ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407", "proxy"),
        ("socket.gaierror: [Errno 11001] getaddrinfo failed", "cannot be reached"),
        ("ReadTimeoutError: HTTPSConnectionPool: Read timed out.", "cannot be reached"),
        ("[WinError 206] The filename or extension is too long", "too long"),
        ("PermissionError: [WinError 5] Access is denied: 'x.pyd'", "could not be written"),
        ("The virtual environment was not created successfully because ensurepip is not available", "environments"),
        ("ERROR: No matching distribution found for onnxruntime==1.32.0", "does not exist for this computer"),
        ("ImportError: DLL load failed while importing onnxruntime_pybind11_state", "C++ library"),
        ("ImportError: /lib64/libc.so.6: version `GLIBC_2.27' not found", "too old"),
    ],
)
def test_each_way_to_fail_has_its_words_and_a_remedy(output: str, words: str) -> None:
    said, remedy = setup_faults.explain(f"Collecting numpy\n{output}\n", 1)
    assert words in said
    assert remedy


def test_an_unknown_fault_shows_its_last_line() -> None:
    assert setup_faults.explain("one\ntwo\n\n", 3) == ("the command ended with 3 (two)", "")


def test_a_path_that_windows_would_not_take_is_known_beforehand() -> None:
    usual = Path("C:/Users/ann/AppData/Roaming/Blender Foundation/Blender/4.5/extensions/.user/user_default/marionet")
    assert path_is_too_long(usual / "backend", False, "win32")
    assert not path_is_too_long(usual / "backend", True, "win32")
    assert not path_is_too_long(Path("C:/Users/ann/AppData/Local/Marionet/backend-4.5"), False, "win32")
    assert not path_is_too_long(usual / "backend", False, "linux")
