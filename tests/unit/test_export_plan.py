"""What an export would do, found out from files and hashes alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from export import manifest
from export.plan import Plan, Wish, plan_family
from modelcore.errors import SetupProblem
from modelcore.family import Family, HubSource, Part
from triptych.project import ROOT

REVISION = "0123456789abcdef0123456789abcdef01234567"
CLIP = ("clip_tokenize", "clip_preprocess", "clip_text", "clip_image")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


def family(source: Path | HubSource, name: str = "tiny") -> Family:
    return Family(name, "about", "MIT", None, {"clip": Part("clip", source, "", "MIT")})


def hub(revision: str = REVISION) -> Family:
    return family(HubSource("owner/clip", revision, gated=False))


def pretend_export(plan: Plan) -> None:
    for job in plan.stale:
        job.version.mkdir(parents=True, exist_ok=True)
        (job.version / "model.onnx").write_bytes(b"graph")
        (job.version.parent / "config.pbtxt").touch()
        manifest.write(job.version, job.identity, {}, ["model.onnx"])


def names(jobs: tuple[object, ...]) -> list[str]:
    return [job.name for job in jobs]  # type: ignore[attr-defined]


def test_at_first_everything_is_to_be_made(source: Path, repository: Path) -> None:
    assert names(plan_family(family(source), repository, Wish()).stale) == list(CLIP)


def test_what_was_made_is_current(source: Path, repository: Path) -> None:
    pretend_export(plan_family(family(source), repository, Wish()))
    plan = plan_family(family(source), repository, Wish())
    assert (names(plan.stale), names(plan.current)) == ([], list(CLIP))


def test_other_weights_are_made_anew(source: Path, repository: Path) -> None:
    pretend_export(plan_family(family(source), repository, Wish()))
    (source / "model.safetensors").write_bytes(b"other")
    assert names(plan_family(family(source), repository, Wish()).stale) == list(CLIP)


def test_a_damaged_model_alone_is_made_anew(source: Path, repository: Path) -> None:
    pretend_export(plan_family(family(source), repository, Wish()))
    (repository / "clip_text" / "1" / "model.onnx").write_bytes(b"grapf")
    assert names(plan_family(family(source), repository, Wish()).stale) == ["clip_text"]


def test_a_model_without_its_manifest_is_made_anew(source: Path, repository: Path) -> None:
    pretend_export(plan_family(family(source), repository, Wish()))
    (repository / "clip_image" / "1" / "manifest.json").unlink()
    assert names(plan_family(family(source), repository, Wish()).stale) == ["clip_image"]


def test_another_precision_makes_the_networks_anew_and_leaves_the_files(source: Path, repository: Path) -> None:
    pretend_export(plan_family(family(source), repository, Wish()))
    plan = plan_family(family(source), repository, Wish(precision="int8"))
    assert names(plan.stale) == ["clip_text", "clip_image"]


def test_a_commit_of_the_hub_needs_no_files_to_be_known_as_current(repository: Path) -> None:
    pretend_export(plan_family(hub(), repository, Wish()))
    assert plan_family(hub(), repository, Wish()).stale == ()
    assert names(plan_family(hub("f" * 40), repository, Wish()).stale) == list(CLIP)


def test_another_family_takes_the_place(source: Path, repository: Path) -> None:
    pretend_export(plan_family(hub(), repository, Wish()))
    assert names(plan_family(family(source, "demo"), repository, Wish()).stale) == list(CLIP)


def test_what_another_family_holds_can_be_kept(source: Path, repository: Path) -> None:
    pretend_export(plan_family(hub(), repository, Wish(parts=("clip_text",))))
    plan = plan_family(family(source, "demo"), repository, Wish(keep_others=True))
    assert names(plan.kept) == ["clip_text"]
    assert names(plan.stale) == ["clip_tokenize", "clip_preprocess", "clip_image"]


def test_the_own_familys_old_models_are_not_kept(source: Path, repository: Path) -> None:
    pretend_export(plan_family(family(source), repository, Wish()))
    (source / "model.safetensors").write_bytes(b"other")
    assert len(plan_family(family(source), repository, Wish(keep_others=True)).stale) == len(CLIP)


def test_the_manifest_names_origin_tools_and_hashes(repository: Path) -> None:
    pretend_export(plan_family(hub(), repository, Wish()))
    found = json.loads((repository / "clip_text" / "1" / "manifest.json").read_text())
    assert found["source"] == {"hub": "owner/clip", "revision": REVISION, "folder": ""}
    assert found["versions"]["torch"].startswith("2.13.0")
    assert found["files"] == {
        "model.onnx": manifest.file_hashes(repository / "clip_text" / "1", ["model.onnx"])["model.onnx"]
    }
    assert (found["licence"], found["precision"], found["target"]) == ("MIT", "fp32", "onnx-cpu")


@pytest.mark.parametrize(
    ("parts", "wanted"), [(("clip",), CLIP), (("clip_text", "clip_image"), ("clip_text", "clip_image"))]
)
def test_parts_or_models_may_be_chosen(
    source: Path, repository: Path, parts: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    assert names(plan_family(family(source), repository, Wish(parts=parts)).stale) == list(wanted)


def test_an_unknown_part_is_named_with_those_there_are(source: Path, repository: Path) -> None:
    with pytest.raises(SetupProblem, match=r"no part 'unet'; it has: clip, clip_tokenize"):
        plan_family(family(source), repository, Wish(parts=("unet",)))


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (Wish(target="onnx-cuda", precision="int8"), "int8 is for --target onnx-cpu"),
        (Wish(precision="fp16"), "fp16 is for GPU targets"),
    ],
)
def test_a_precision_that_its_target_cannot_run_is_refused(
    source: Path, repository: Path, wish: Wish, reason: str
) -> None:
    with pytest.raises(SetupProblem, match=reason):
        plan_family(family(source), repository, wish)


def test_asking_imports_nothing_heavy() -> None:
    code = "import sys, triptych.cli; triptych.cli.main(['export', '--list']); print(*sys.modules, file=sys.stderr)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "diffusers", "huggingface_hub", "onnxruntime"} & set(answer.stderr.split())
