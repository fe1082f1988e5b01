"""tools/setup.sh and tools/setup.py: what they decide, and the one line they say when they cannot go on."""

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("triptych_setup", TOOLS / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_script(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", TOOLS / "setup.sh", "run"], env=environment, capture_output=True, text=True, check=False
    )


def test_a_machine_without_a_gpu_gets_cpu_builds(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIPTYCH_ACCELERATOR", raising=False)
    monkeypatch.setattr(setup.glob, "glob", lambda pattern: [])
    assert setup.choose_accelerator()[0] == "cpu"


def test_a_machine_with_a_gpu_gets_cuda_builds(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIPTYCH_ACCELERATOR", raising=False)
    monkeypatch.setattr(setup.glob, "glob", lambda pattern: ["/dev/nvidia0"])
    assert setup.choose_accelerator()[0] == "cuda"


def test_the_variable_overrules_what_is_seen(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_ACCELERATOR", "cpu")
    monkeypatch.setattr(setup.glob, "glob", lambda pattern: ["/dev/nvidia0"])
    assert setup.choose_accelerator()[0] == "cpu"


def test_another_accelerator_is_refused(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_ACCELERATOR", "abacus")
    with pytest.raises(setup.Problem, match="must be cpu or cuda: 'abacus'"):
        setup.choose_accelerator()


def test_an_old_glibc_is_named(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.31"))
    with pytest.raises(setup.Problem, match=r"2\.35 or newer .* found glibc 2\.31"):
        setup.check_glibc()


def test_a_full_disk_is_named(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1.5e9))
    with pytest.raises(setup.Problem, match=r"has 1\.5 GB free; setting up takes 3 GB"):
        setup.check_disk("cpu")


@pytest.mark.parametrize(("needs", "is_cpu"), [(["numpy"], True), (["nvidia-cublas-cu13; platform == x"], False)])
def test_a_cuda_build_is_known_by_what_it_needs(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, needs: list[str], is_cpu: bool
) -> None:
    report = {"install": [{"metadata": {"requires_dist": needs}}]}
    answer = SimpleNamespace(returncode=0, stdout=json.dumps(report))
    monkeypatch.setattr(setup.subprocess, "run", lambda *arguments, **options: answer)
    assert setup.offered_torch_is_cpu_build() is is_cpu


def test_a_changed_lock_file_asks_for_a_new_setup(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tools").mkdir()
    for name in ("pyproject.toml", "constraints.txt", "tools/reference.txt"):
        (tmp_path / name).write_text("one")
    monkeypatch.setattr(setup, "PROJECT", tmp_path)
    before = setup.fingerprint("cpu")
    (tmp_path / "constraints.txt").write_text("two")
    assert setup.fingerprint("cpu") != before


def test_serving_needs_no_second_setup_after_testing(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(setup, "STAMP", tmp_path / "setup.json")
    setup.remember("test", "print")
    assert setup.is_installed("run", "print")
    assert not setup.is_installed("run", "other print")


def test_no_fit_python_says_what_to_install(tmp_path: Path) -> None:
    for tool in ("dirname", "cat"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    # A copy of the script, so that the project's own environment is not found.
    (tmp_path / "tools").mkdir()
    shutil.copy(TOOLS / "setup.sh", tmp_path / "tools")
    ran = subprocess.run(
        ["/bin/sh", tmp_path / "tools" / "setup.sh", "run"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "apt-get install python3.11 python3.11-venv libpython3.11" in ran.stderr


def test_a_chosen_python_that_does_not_fit_is_named() -> None:
    ran = run_script(PATH=os.environ["PATH"], PYTHON="/bin/true")
    assert ran.returncode == 1
    assert "PYTHON=/bin/true does not fit" in ran.stderr


def test_setup_runs_on_a_bare_python(setup: ModuleType) -> None:
    isolated = [sys.executable, "-I", "-S", TOOLS / "setup.py", "--help"]
    assert subprocess.run(isolated, capture_output=True, check=True).stdout


def test_a_missing_chosen_python_is_no_reason_to_take_another() -> None:
    ran = run_script(PATH=os.environ["PATH"], PYTHON="/nonexistent")
    assert (ran.returncode, "PYTHON=/nonexistent does not fit" in ran.stderr) == (1, True)


def test_a_path_that_a_shell_would_split_is_refused(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "PROJECT", Path("/home/new user/triptych"))
    with pytest.raises(setup.Problem, match="path with ' ' in it"):
        setup.check_path()


def test_a_step_that_fails_shows_what_it_said(setup: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(setup.Problem, match="odd step: failed"):
        setup.run_step("odd step", [sys.executable, "-c", "print('the reason'); raise SystemExit(1)"])
    assert "the reason" in capsys.readouterr().err


def test_a_second_setup_waits_for_the_first(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup, "LOCK", tmp_path / "lock")
    locked = []
    monkeypatch.setattr(setup.fcntl, "flock", lambda file, how: locked.append(how) or _busy_once(locked))
    with setup.only_one():
        assert "waiting" in capsys.readouterr().out
    assert len(locked) == 2


def _busy_once(calls: list[int]) -> None:
    if len(calls) == 1:
        raise BlockingIOError
