"""Each obstacle gets one line that says what is wrong, the value found, and what to do."""

import os
import socket
from pathlib import Path

import pytest

from embedded import preflight

PYTHON = (3, 12)


@pytest.mark.parametrize("libc", [("glibc", "2.35"), ("glibc", "2.41"), ("glibc", "3.0")])
def test_new_glibc_is_fine(libc: tuple[str, str]) -> None:
    assert preflight.check_glibc(libc) is None


@pytest.mark.parametrize(("libc", "found"), [(("glibc", "2.31"), "glibc 2.31"), (("", ""), "another C library")])
def test_old_glibc_and_others_are_refused(libc: tuple[str, str], found: str) -> None:
    said = preflight.check_glibc(libc)
    assert said is not None
    assert f"needs glibc 2.35 or newer, this system has {found}" in said
    assert "Debian 12" in said


def test_missing_libpython_names_the_package() -> None:
    said = preflight.check_libpython(None, PYTHON)
    assert said is not None
    assert "apt-get install libpython3.12" in said
    assert preflight.check_libpython(Path("libpython3.12.so.1.0"), PYTHON) is None


def test_python_without_stub_is_refused() -> None:
    said = preflight.check_stub(False, (3, 14))
    assert said is not None
    assert "no process stub for Python 3.14" in said


@pytest.mark.parametrize(("version", "is_fine"), [("1.26.4", True), ("2.4.0", False)])
def test_numpy_2_is_refused(version: str, is_fine: bool) -> None:
    said = preflight.check_numpy(version)
    assert (said is None) == is_fine
    assert said is None or f"numpy {version} breaks every tensor" in said


def test_other_machines_are_sent_to_the_container() -> None:
    said = preflight.check_platform("darwin", "arm64")
    assert said is not None
    assert "darwin on arm64" in said
    assert "container" in said


def test_missing_and_empty_repositories_are_told_apart(tmp_path: Path) -> None:
    missing, empty = preflight.check_repository(tmp_path / "no"), preflight.check_repository(tmp_path)
    assert missing == f"there is no model repository folder at {tmp_path / 'no'}"
    assert empty is not None
    assert "has no model" in empty


def test_unknown_model_is_named_with_those_there_are() -> None:
    assert preflight.check_models(["unet", "clip"], ["clip", "sam"]) == (
        "no such model in the repository: unet (it has clip, sam)"
    )


def test_small_shared_memory_and_disk_say_how_much_is_needed(tmp_path: Path) -> None:
    shared = preflight.check_shared_memory(64 * 1024 * 1024)
    assert shared is not None
    assert "has 64 MiB free" in shared
    assert "--shm-size" in shared
    disk = preflight.check_disk(tmp_path, 0)
    assert disk is not None
    assert "has 0 MiB free" in disk
    assert "500 MiB" in disk


def test_busy_port_names_its_purpose_and_holder() -> None:
    ports = {"Triton's HTTP": 8000, "Triton's gRPC": 8001, "REST": 8001}
    assert preflight.check_ports(ports, {8000: 77}) == [
        "port 8000 (Triton's HTTP) is taken by process 77: stop it or choose another port",
        "port 8001 is given twice",
    ]


def test_the_holder_of_a_real_port_is_found() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert preflight.port_problems("127.0.0.1", {"REST": port}) == [
            f"port {port} (REST) is taken by process {os.getpid()}: stop it or choose another port"
        ]


@pytest.mark.parametrize("path", ["/srv/my models", "/srv/$(touch here)", "/srv/mödels"])
def test_a_path_that_a_shell_would_read_otherwise_is_refused(path: str) -> None:
    problem = preflight.check_path(Path(path))
    assert problem is not None
    assert path in problem


def test_an_ordinary_path_is_taken() -> None:
    assert preflight.check_path(Path("/srv/models-2/x_y.z")) is None


@pytest.mark.parametrize("port", [0, -1, 65536, 99999])
def test_a_port_that_cannot_be_is_named(port: int) -> None:
    assert preflight.port_problems("127.0.0.1", {"REST": port}) == [f"port {port} (REST) must be between 1 and 65535"]


def test_an_address_of_another_machine_is_not_called_a_busy_port() -> None:
    (problem,) = preflight.port_problems("192.0.2.1", {"REST": 8080})
    assert problem.startswith("cannot listen on 192.0.2.1: ")


def test_a_profile_that_no_model_has_is_named(tmp_path: Path) -> None:
    (tmp_path / "net" / "configs").mkdir(parents=True)
    (tmp_path / "net" / "configs" / "gpu.pbtxt").touch()
    assert preflight.check_profile("gpu", [tmp_path]) is None
    problem = preflight.check_profile("gpo", [tmp_path])
    assert problem is not None
    assert "'gpo'" in problem
