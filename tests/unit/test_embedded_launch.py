"""Flags, environment, backends folder, log reading and cleaning up: without starting a server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedded import layout, leftovers, processes, readiness
from embedded.binary import Binary
from embedded.options import TritonOptions, command_line

BINARY = Binary(Path("/wheel"))
NAMESPACE = processes.pid_namespace()
NO_SUCH_PID = 2**22 + 1  # above the kernel's largest


def flags(options: TritonOptions) -> list[str]:
    return command_line(options, BINARY, Path("/backends"))


def test_everything_listens_on_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    addresses = [flag for flag in flags(TritonOptions((tmp_path,))) if "-address=" in flag]
    assert addresses == [
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
    ]


def test_all_models_are_loaded_unless_some_are_named(tmp_path: Path) -> None:
    assert "--load-model=*" in flags(TritonOptions((tmp_path,)))
    named = flags(TritonOptions((tmp_path,), models=("a", "b")))
    assert [flag for flag in named if "--load-model" in flag] == ["--load-model=a", "--load-model=b"]


def test_profile_and_extra_flags_are_passed_on(tmp_path: Path) -> None:
    given = flags(TritonOptions((tmp_path,), profile="gpu", extra=("--log-verbose=1",)))
    assert "--model-config-name=gpu" in given
    assert given[-1] == "--log-verbose=1"


def test_a_broken_model_does_not_take_the_server_down(tmp_path: Path) -> None:
    given = flags(TritonOptions((tmp_path,)))
    assert {"--exit-on-error=false", "--strict-readiness=false"} <= set(given)
    assert "--disable-auto-complete-config" in given


@pytest.fixture
def wheel(tmp_path: Path) -> Binary:
    binary = Binary(tmp_path / "wheel")
    for file in (
        binary.python_backend / "libtriton_python.so",
        binary.python_backend / "triton_python_backend_utils.py",
        binary.stub((3, 11)),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.name)
    return binary


def test_backends_folder_has_a_copied_library_and_our_backend(wheel: Binary, tmp_path: Path) -> None:
    folder = layout.lay_out_backends(wheel, tmp_path / "backends", (3, 11))
    assert not (folder / "python" / "libtriton_python.so").is_symlink()
    assert (folder / "onnxruntime" / "model.py").is_file()


def test_a_stub_is_the_wheels_own_without_what_tritonserver_is_told_of_its_memory(
    wheel: Binary, tmp_path: Path
) -> None:
    theirs = wheel.stub((3, 11))
    theirs.write_text('#!/bin/sh\necho "$0" "$@"\nenv\n')
    theirs.chmod(0o755)
    stub = layout.lay_out_backends(wheel, tmp_path / "backends", (3, 11)) / "python" / "triton_python_backend_stub"
    environment = layout.triton_environment({"PATH": "/usr/bin:/bin", "OTHERS": "stay"})
    said = subprocess.run([stub, "a model", "b"], env=environment, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[0] == f"{theirs} a model b"
    assert "OTHERS=stay" in said
    assert "MALLOC_" in str(environment)
    assert "MALLOC_" not in said


def test_laying_out_again_repairs_and_changes_nothing_else(wheel: Binary, tmp_path: Path) -> None:
    folder = layout.lay_out_backends(wheel, tmp_path / "backends", (3, 11))
    stub, library = folder / "python" / "triton_python_backend_stub", folder / "python"
    before, script = (library / "libtriton_python.so").stat(), stub.read_text()
    stub.unlink()
    stub.symlink_to("/nowhere")
    layout.lay_out_backends(wheel, tmp_path / "backends", (3, 11))
    assert stub.read_text() == script
    stub.write_bytes(b"\x7fELF\xff")
    layout.lay_out_backends(wheel, tmp_path / "backends", (3, 11))
    assert stub.read_text() == script
    assert (library / "libtriton_python.so").stat() == before
    assert [path.name for path in library.iterdir() if path.name.startswith(".")] == []


def test_stubs_find_this_interpreter_first() -> None:
    environment = layout.triton_environment({"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/opt/lib"})
    library = layout.find_libpython()
    assert library is not None
    assert environment["PATH"] == f"{sys.prefix}/bin:/usr/bin"
    assert environment["LD_LIBRARY_PATH"] == f"{library.parent}:/opt/lib"


def test_memory_settings_of_ones_own_stay() -> None:
    assert layout.triton_environment({"MALLOC_ARENA_MAX": "7"})["MALLOC_ARENA_MAX"] == "7"


def test_a_gpu_chosen_by_hand_stays_visible() -> None:
    assert layout.triton_environment({"CUDA_VISIBLE_DEVICES": "2"})["CUDA_VISIBLE_DEVICES"] == "2"


def test_load_failure_is_told_without_status_class_and_traceback() -> None:
    said = "Internal: TritonModelException: there is no '1/model.onnx'\\n\\nAt:\\n  /x/model.py(6): i\\n"
    assert readiness.plain_reason(said) == "there is no '1/model.onnx'"


def test_log_reader_sees_only_what_is_new_and_whole(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    log.write_text("2026-01-01T00:00:00Z I 1 m.cc:1] \"successfully loaded 'old'\"\n")
    reader = readiness.LogReader(log)
    with log.open("a") as writing:
        writing.write("2026-01-01T00:00:00Z I 1 m.cc:1] \"successfully loaded 'new'\"\n")
        writing.write("2026-01-01T00:00:00Z E 1 m.cc:1] \"failed to load 'bad' version 1: Inter")
        writing.flush()
        assert reader.events() == [readiness.Loaded("new")]
        writing.write('nal: no memory"\n')
        writing.flush()
        assert reader.events() == [readiness.Failed("bad", "no memory")]
    assert "no memory" in reader.last_error
    reader.close()


def test_only_files_of_dead_guardians_are_swept(tmp_path: Path) -> None:
    dead = f"triptych-{NAMESPACE}-{NO_SUCH_PID}-5-region"
    reused = f"triptych-{NAMESPACE}-{os.getpid()}-1-region"
    kept = {
        leftovers.prefix_of(os.getpid()) + "region",
        f"triptych-{NAMESPACE + 1}-{NO_SUCH_PID}-5-region",  # another container's
        "triton_python_backend_shm_region_1",  # another tritonserver's
    }
    for name in (dead, reused, *kept):
        (tmp_path / name).touch()
    assert leftovers.sweep(tmp_path) == sorted([dead, reused])
    assert {path.name for path in tmp_path.iterdir()} == kept
