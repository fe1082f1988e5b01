from pathlib import Path

import pytest
import torch

from training.grammar import is_true
from training.parts.captioner import QUERIES, CaptionerTask
from training.parts.captioner_exam import Teller, is_right, told_right
from training.scene import Scene, Thing
from training.telling import read, tell
from training.world import World

FAMILY = Path(__file__).parents[2] / "families" / "demo"
TWO = Scene("white", (Thing("circle", "red", 54, 40, 30), Thing("star", "blue", 32, 44, 100)))


@pytest.fixture(scope="module")
def task() -> CaptionerTask:
    return CaptionerTask(1, FAMILY / "clip")


@pytest.mark.parametrize("index", range(40))
def test_what_is_told_reads_back_as_what_was_meant(index: int) -> None:
    scene, _ = World("train", 1).told_scene(index)
    told = tell(scene)
    assert read(told.text) == told
    assert is_true(told, scene)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red circle",
        "a large red circle",
        "a large red moon on a white background",
        "a large red circle on a white",
    ],
)
def test_other_wordings_are_not_understood(text: str) -> None:
    assert read(text) is None


def test_wrong_size_or_background_is_no_fault_of_a_caption() -> None:
    assert is_right("a small red circle above a large blue star on a black background", TWO)


@pytest.mark.parametrize(
    "text",
    [
        "a large red circle below a small blue star on a white background",
        "a large blue circle above a small red star on a white background",
        "a large red circle and a small blue star on a white background",
        "a large red circle on a white background",
    ],
)
def test_wrong_colour_shape_relation_or_number_is(text: str) -> None:
    assert not is_right(text, TWO)


def test_lent_eyes_see_nearly_what_clip_sees(task: CaptionerTask) -> None:
    pixels = task.batch(500).pixels
    with torch.inference_mode():
        lent = task.network.model.vision_model(pixel_values=pixels).pooler_output
        clip = task.clip.vision_model(pixel_values=pixels).pooler_output
    assert torch.nn.functional.cosine_similarity(lent, clip).mean() > 0.7


def test_captioner_is_asked_for_words_and_never_for_its_queries(task: CaptionerTask) -> None:
    batch = task.batch(0)
    assert (batch.labels[:, :QUERIES] == -100).all()
    assert (batch.labels[:, QUERIES:][batch.tokens[:, QUERIES:] != task.tokenizer.pad_token_id] >= 0).all()


def test_shipped_captioner_tells_most_pairs_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.parts.captioner_exam.CASES", 40)
    right, cases = told_right(Teller(FAMILY / "captioner"), World("tune", 1, (2,)))
    assert right >= 0.75 * cases
