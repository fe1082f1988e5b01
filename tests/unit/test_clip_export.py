"""Export and preprocessing against transformers itself, on a small random CLIP written in the hub's layout."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from export.gathering import gather
from export.parity import open_session
from export.plan import Plan, Wish, plan_family
from export.progress import Progress
from export.run import carry_out
from modelcore.errors import SetupProblem
from modelcore.family import Family, Part
from modelcore.manifest import MANIFEST_FILE
from modelcore.text.tokenizing import LENGTH_STEP, ClipTokenizer
from modelcore.vision.clip import ClipPreprocessing, preprocess
from tests.small_families import CONTEXT, write_random_clip

TEXTS = ["a large red circle", "TWO  green stars,\nleft of", "", "éà 漢字 🙂", "a " * 40]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def repository(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    export(source, folder)
    return folder


def plan_clip(source: Path, folder: Path) -> Plan:
    part = Part("clip", source, subfolder="", licence="Apache-2.0")
    return plan_family(Family("tiny", "about", "Apache-2.0", None, {"clip": part}), folder, Wish())


def export(source: Path, folder: Path) -> list[str]:
    """Which models it had to make."""
    plan = plan_clip(source, folder)
    progress = Progress("tiny", len(plan.stale), io.StringIO())
    carry_out(plan, gather(plan, progress), progress)
    return [job.name for job in plan.stale]


def test_token_ids_are_those_of_transformers(source: Path, repository: Path) -> None:
    reference = CLIPTokenizer.from_pretrained(source)
    wanted = reference(TEXTS, padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="np")
    assert (ClipTokenizer.load(repository / "clip_tokenize" / "1").encode(TEXTS).input_ids == wanted["input_ids"]).all()


def test_short_texts_are_padded_no_further_than_to_the_next_step(source: Path, repository: Path) -> None:
    reference = CLIPTokenizer.from_pretrained(source)
    wanted = reference(["a", "b"], padding="max_length", max_length=LENGTH_STEP, return_tensors="np")
    got = ClipTokenizer.load(repository / "clip_tokenize" / "1").encode(["a", "b"]).input_ids
    assert got.shape == (2, LENGTH_STEP)
    assert (got == wanted["input_ids"]).all()


def test_only_a_text_over_the_context_is_told_as_truncated(repository: Path) -> None:
    tokens = ClipTokenizer.load(repository / "clip_tokenize" / "1").encode(["a", "a " * 40])
    assert tokens.truncated.tolist() == [[False], [True]]
    assert tokens.token_count.tolist() == [[3], [CONTEXT]]


@pytest.mark.parametrize("size", [(32, 32), (100, 37), (37, 101), (640, 33), (33, 33), (7, 5)])
def test_preprocessing_is_that_of_transformers(source: Path, repository: Path, size: tuple[int, int]) -> None:
    picture = Image.effect_noise(size, 80).convert("RGB")
    wanted = CLIPImageProcessorPil.from_pretrained(source)(picture, return_tensors="np")["pixel_values"][0]
    got = preprocess(picture, ClipPreprocessing.load(repository / "clip_preprocess" / "1"))
    assert np.abs(got - wanted).max() < 1e-6


def test_the_text_graph_answers_like_the_source_at_untraced_shapes(source: Path, repository: Path) -> None:
    ids = ClipTokenizer.load(repository / "clip_tokenize" / "1").encode(TEXTS).input_ids
    with torch.inference_mode():
        features = CLIPModel.from_pretrained(source).get_text_features(torch.from_numpy(ids)).pooler_output
    wanted = torch.nn.functional.normalize(features).numpy()
    got, _ = open_session(repository / "clip_text" / "1" / "model.onnx").run(None, {"input_ids": ids})
    assert np.abs(got - wanted).max() < 1e-5


def test_the_text_graph_tells_the_temperature_with_every_text(source: Path, repository: Path) -> None:
    wanted = CLIPModel.from_pretrained(source).logit_scale.detach().exp().item()
    ids = ClipTokenizer.load(repository / "clip_tokenize" / "1").encode(TEXTS).input_ids
    _, scales = open_session(repository / "clip_text" / "1" / "model.onnx").run(
        ["embedding", "logit_scale"], {"input_ids": ids}
    )
    assert scales.tolist() == [[pytest.approx(wanted)]] * len(TEXTS)


@pytest.mark.parametrize("model", ["clip_text", "clip_image"])
def test_sizes_that_are_open_in_the_config_are_open_in_the_session(repository: Path, model: str) -> None:
    session = open_session(repository / model / "1" / "model.onnx")
    assert session.get_outputs()[0].shape == ["batch", "size"]
    assert all(isinstance(dim, str) or dim == 3 for dim in session.get_inputs()[0].shape)


def test_a_second_export_finds_everything_up_to_date(source: Path, repository: Path) -> None:
    assert plan_clip(source, repository).stale == ()


def test_a_changed_file_alone_is_exported_again(source: Path, repository: Path) -> None:
    (repository / "clip_preprocess" / "1" / "preprocess.json").write_text("{}")
    assert export(source, repository) == ["clip_preprocess"]


def test_other_weights_make_every_model_stale(repository: Path, tmp_path: Path) -> None:
    other = write_random_clip(tmp_path / "other", seed=1)
    assert len(plan_clip(other, repository).stale) == 4


def test_the_manifest_records_source_and_error(repository: Path) -> None:
    text = (repository / "clip_text" / "1" / MANIFEST_FILE).read_text()
    assert '"model.safetensors"' in text
    assert '"batch 5, length 7"' in text


def test_a_folder_without_weights_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match=r"config\.json is missing"):
        export(tmp_path, tmp_path / "to")
