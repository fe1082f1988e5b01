"""`triptych export` and `python -m export` as a person meets them, on a small random family."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelcore.pbtxt import parse
from tests.small_families import write_random_clip
from triptych.project import ROOT

FILES_ONLY = ("--parts", "clip_tokenize,clip_preprocess")  # no graph: quick


def export(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "export", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("families") / "tiny"
    write_random_clip(folder / "clip")
    text = 'name = "tiny"\nabout = "small and random"\nlicence = "MIT"\n[parts.clip]\nfolder = "clip"\n'
    (folder / "family.toml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def exported(family: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("repository")
    assert export(family, "--to", repository, *FILES_ONLY).returncode == 0
    return repository


@pytest.fixture
def repository(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "repository")


def test_a_new_repository_gets_configurations_and_shims_too(repository: Path) -> None:
    assert parse((repository / "clip_tokenize" / "config.pbtxt").read_text()).name == "clip_tokenize"
    assert "class TritonPythonModel" in (repository / "clip_tokenize" / "1" / "model.py").read_text()


def test_a_configuration_that_is_there_is_left_alone(family: Path, repository: Path) -> None:
    config = repository / "clip_tokenize" / "config.pbtxt"
    config.write_text("# mine\n")
    (repository / "clip_tokenize" / "1" / "tokenizer.json").unlink()
    assert export(family, "--to", repository, *FILES_ONLY).returncode == 0
    assert config.read_text() == "# mine\n"


def test_a_second_run_has_nothing_to_do(family: Path, repository: Path) -> None:
    answer = export(family, "--to", repository, *FILES_ONLY)
    assert (answer.returncode, answer.stdout) == (0, "tiny: 2 models are up to date\n")


def test_verify_accepts_what_export_wrote(repository: Path) -> None:
    answer = export("--verify", repository)
    assert (answer.returncode, answer.stdout) == (0, f"{repository}: 2 model versions verified, 0 problems\n")


def test_verify_names_a_changed_file_and_fails(repository: Path) -> None:
    (repository / "clip_preprocess" / "1" / "preprocess.json").write_text("{}")
    answer = export("--verify", repository)
    assert answer.returncode == 1
    assert answer.stdout.startswith("clip_preprocess/1/preprocess.json is not the file that export wrote")


def test_wrong_weights_are_one_line_and_nothing_is_written(family: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(family, tmp_path / "tiny")
    weights = broken / "clip" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    answer = export(broken, "--to", tmp_path / "repository")
    assert (answer.returncode, len(answer.stderr.splitlines())) == (1, 1)
    assert "is cut off or damaged" in answer.stderr
    assert list((tmp_path / "repository").iterdir()) == []


def test_an_unknown_family_is_one_line_with_the_known_ones() -> None:
    answer = export("nonsense")
    assert answer.returncode == 1
    assert answer.stderr.startswith("export: no family here")
    assert "sd35-large-turbo" in answer.stderr


def test_the_list_names_each_source_with_its_licence() -> None:
    answer = export("--list")
    assert "diffusion: CompVis/stable-diffusion-v1-4 at 133a221b8aa7 (CreativeML-OpenRAIL-M)" in answer.stdout
    assert "stabilityai/stable-diffusion-3.5-medium at b940f670f0ed" in answer.stdout
    assert "gated)" in answer.stdout


def test_triptych_has_the_same_options() -> None:
    def options(*command: str) -> str:
        answer = subprocess.run(
            [sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return answer.stdout.partition("positional arguments")[2]

    assert options("-m", "triptych", "export") == options("-m", "export")


def test_a_killed_export_leaves_nothing_half_and_goes_on(family: Path, repository: Path) -> None:
    command = [sys.executable, "-u", "-m", "export", str(family), "--to", str(repository), "--parts", "clip"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "clip_text: exporting" not in process.stdout.readline():
            assert process.poll() is None, "it ended before it could be killed"
        process.kill()
    assert not (repository / "clip_text" / "1").exists()
    assert export("--verify", repository).returncode == 0

    answer = export(family, "--to", repository, "--parts", "clip_text")
    assert answer.returncode == 0
    assert answer.stdout.splitlines()[-1].endswith(("e-07", "e-08", "e-06"))
    manifest = json.loads((repository / "clip_text" / "1" / "manifest.json").read_text())
    assert manifest["symbols"] == {"input_ids": {"0": "batch", "1": "length"}}
    assert manifest["shapes"]["batch 5, length 7"] == {"input_ids": [5, 7]}
    left = sorted(path.name for path in (repository / "clip_text").iterdir())
    assert left == [".gitignore", "1", "config.pbtxt", "configs"]
