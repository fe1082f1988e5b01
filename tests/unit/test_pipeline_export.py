"""What lies beside a pipeline's code: written by export, in the hub's layout, read back by the pipeline. No weights."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from export.components import components
from export.diffusion.pipeline import write_pipeline
from export.plan import Plan, Wish, plan_family, source_files
from export.shims import add_shim, shim_source
from modelcore.diffusion.networks import LatentFacts
from modelcore.errors import SetupProblem
from modelcore.family import Family, read_family
from modelcore.manifest import weights_name
from modelcore.pipeline_folder import FACTS_FILE, read_pipeline_folder
from modelcore.repository import EXPORTED_HEADER
from tests.small_pipeline import write_small_family

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_family(tmp_path_factory.mktemp("families") / "tiny")


@pytest.fixture
def version(source: Path, tmp_path: Path) -> Path:
    write_pipeline(read_family(source), source, DIGEST, tmp_path)
    return tmp_path


def plan(source: Path, repository: Path) -> Plan:
    return plan_family(read_family(source), repository, Wish())


def identities(family: Family, repository: Path) -> dict[str, object]:
    return {job.name: job.identity for job in plan(family.file.parent, repository).stale}


def test_the_facts_are_those_of_the_weights_own_descriptions(version: Path) -> None:
    facts = read_pipeline_folder(version).facts
    assert facts.latents == LatentFacts("sd", channels=4, pixels_per_cell=8, denoiser_channels=4)
    assert (facts.model_digest, facts.forces_zeros_for_empty_prompt) == (DIGEST, False)


def test_the_familys_defaults_and_scheduler_come_along(version: Path, source: Path) -> None:
    folder = read_pipeline_folder(version)
    assert folder.diffusion == read_family(source).diffusion
    assert folder.scheduler_config["_class_name"] == "DDIMScheduler"


def test_the_tokenizer_brings_the_length_it_pads_to(version: Path, source: Path) -> None:
    (folder,) = read_pipeline_folder(version).tokenizers
    wanted = json.loads((source / "tokenizer" / "tokenizer_config.json").read_text())["model_max_length"]
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).padding["length"] == wanted


def test_facts_of_another_version_are_told_so(version: Path) -> None:
    (version / FACTS_FILE).write_text('{"model_digest": "x"}')
    with pytest.raises(SetupProblem, match="export the family again"):
        read_pipeline_folder(version)


def test_the_digest_changes_with_the_weights_of_any_network(source: Path, tmp_path: Path) -> None:
    pipeline = next(item for item in components(read_family(source)) if item.model.name == "tiny")
    before = weights_name({"source_files": source_files(pipeline, source)})
    changed = write_small_family(tmp_path / "tiny", seed=1)
    assert weights_name({"source_files": source_files(pipeline, changed)}) != before
    assert weights_name({"source_files": source_files(pipeline, source)}) == before


def test_a_pipeline_is_stale_when_its_familys_limits_change(source: Path, tmp_path: Path) -> None:
    copy = write_small_family(tmp_path / "tiny")
    before = identities(read_family(copy), tmp_path / "repository")
    file = copy / "family.toml"
    file.write_text(file.read_text().replace("pictures_max = 4", "pictures_max = 5"))
    after = identities(read_family(copy), tmp_path / "repository")
    assert {name for name in after if after[name] != before[name]} == {"tiny", "tiny_image"}


def test_the_pipelines_of_every_family_run_the_demo_familys_code(source: Path) -> None:
    family = read_family(source)
    pipelines = [item.model for item in components(family) if item.part == "diffusion" and not item.is_network]
    assert [shim_source(family, model).parts[-3:] for model in pipelines] == [
        ("demo", "1", "model.py"),
        ("demo_image", "1", "model.py"),
    ]


def test_somebodys_own_code_is_left_alone_and_ours_is_renewed(source: Path, tmp_path: Path) -> None:
    family = read_family(source)
    model = next(item.model for item in components(family) if item.model.name == "tiny")
    own, ours, aside = tmp_path / "own", tmp_path / "ours", tmp_path / "aside"
    for folder, text in ((own, "mine"), (ours, f"{EXPORTED_HEADER}\nold"), (aside, "")):
        folder.mkdir()
        (folder / "model.py").write_text(text)
    (aside / "model.py").unlink()
    add_shim(own, aside, family, model)
    assert not (aside / "model.py").exists()
    add_shim(ours, aside, family, model)
    assert "PipelineStub" in (aside / "model.py").read_text()
