"""Both checks of manifest.json, the stubs' and the onnxruntime backend's, against the same cases."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from export.verify import verify_repository
from modelcore import stub
from modelcore.errors import SetupProblem
from modelcore.manifest import MANIFEST_KIND, sha256, verify

# The backend's folder stands alone: Triton puts it on the path, and so do we.
sys.path.append(str(Path(__file__).parents[2] / "embedded" / "backends" / "onnxruntime"))
import ort_manifest
from ort_signature import ConfigMismatch

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def verify_as_backend(version: Path) -> None:
    try:
        ort_manifest.verify(version, version / "model.onnx")
    except ConfigMismatch as mismatch:
        raise SetupProblem(str(mismatch)) from None


def verify_as_stub(version: Path) -> None:
    stub.version_folder({"model_repository": str(version.parent), "model_version": version.name})


CHECKS = pytest.mark.parametrize("check", [verify_as_backend, verify_as_stub])
Check = Callable[[Path], object]


@pytest.fixture
def version(tmp_path: Path) -> Path:
    folder = tmp_path / "model" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "model.onnx.data").write_bytes(b"weights")
    return folder


def write_manifest(version: Path, **changes: object) -> None:
    files = {name: sha256(version / name) for name in ("model.onnx", "model.onnx.data")}
    (version / "manifest.json").write_text(json.dumps({"kind": MANIFEST_KIND, "files": files} | changes))


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty") == EMPTY_SHA256


@CHECKS
def test_what_export_wrote_is_served(version: Path, check: Check) -> None:
    write_manifest(version)
    check(version)


@CHECKS
def test_a_model_without_a_manifest_is_served(version: Path, check: Check) -> None:
    check(version)
    assert not verify(version)


@CHECKS
def test_somebody_elses_manifest_is_no_business_of_ours(version: Path, check: Check) -> None:
    (version / "manifest.json").write_text('[{"kind": "chart"}]')
    check(version)


@CHECKS
@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_one_flipped_bit_is_refused(version: Path, check: Check, name: str) -> None:
    write_manifest(version)
    content = bytearray((version / name).read_bytes())
    content[0] ^= 1
    (version / name).write_bytes(content)
    with pytest.raises(SetupProblem, match=f"{name}.* is not the file that export wrote"):
        check(version)


@CHECKS
def test_a_missing_file_is_refused(version: Path, check: Check) -> None:
    write_manifest(version)
    (version / "model.onnx.data").unlink()
    with pytest.raises(SetupProblem, match=r"model\.onnx\.data.* is missing"):
        check(version)


@CHECKS
def test_a_manifest_that_is_cut_off_is_refused(version: Path, check: Check) -> None:
    (version / "manifest.json").write_text('{"kind": ')
    with pytest.raises(SetupProblem, match="not JSON"):
        check(version)


def test_a_graph_that_the_manifest_does_not_know_is_refused_by_the_backend(version: Path) -> None:
    write_manifest(version, files={"model.onnx.data": sha256(version / "model.onnx.data")})
    with pytest.raises(SetupProblem, match=r"'model\.onnx' is not in manifest\.json"):
        verify_as_backend(version)


def test_an_error_shows_no_path_of_this_machine(version: Path) -> None:
    write_manifest(version)
    (version / "model.onnx").write_bytes(b"other")
    with pytest.raises(SetupProblem, match=r"^model/1/model\.onnx is not"):
        verify(version)


def test_a_whole_repository_is_verified(version: Path) -> None:
    write_manifest(version)
    assert verify_repository(version.parents[1]) == (1, [])


def test_verifying_a_repository_names_every_problem(version: Path) -> None:
    write_manifest(version)
    (version / "model.onnx").write_bytes(b"other")
    stranger = version.parents[1] / "stranger" / "2"
    stranger.mkdir(parents=True)
    (stranger / "model.plan").touch()
    verified, problems = verify_repository(version.parents[1])
    assert verified == 0
    assert ["is not the file" in problems[0], "is in no manifest" in problems[1]] == [True, True]
