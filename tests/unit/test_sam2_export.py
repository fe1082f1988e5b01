"""SAM2's three graphs against transformers' own forward, on a small random SAM2 written in the hub's layout."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Sam2Model

from export.parity import open_session
from export.sam2 import proof
from export.sam2.pictures import drawn_picture
from export.sam2.prompts import random_features, random_prompts
from export.sam2.source import load_sam2
from modelcore.contract import ServedModel, Tensor
from modelcore.errors import SetupProblem
from modelcore.sam2_models import SAM2_MODELS
from tests.small_sam2 import exported_sam2, write_random_sam2, write_random_video_sam2

pytestmark = pytest.mark.timeout(600)  # the first test waits for three exports, slow on busy cores

SIDE_PX = 64
MASK_PX = 32

# prompts, points of each, whether the last two are a box, whether each prompt has an earlier mask
PROMPTS = [
    pytest.param(1, 1, False, False, id="one click"),
    pytest.param(7, 3, False, False, id="seven prompts of three points"),
    pytest.param(3, 2, True, False, id="three boxes"),
    pytest.param(2, 5, True, False, id="boxes with points"),
    pytest.param(1, 1, False, True, id="one click on a mask"),
    pytest.param(4, 4, True, True, id="boxes with points on masks"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Sam2Model:
    return load_sam2(exported_sam2(tmp_path_factory)[0])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_sam2(tmp_path_factory)[1]


def earlier_masks(prompts: int) -> torch.Tensor:
    return 8 * torch.randn(prompts, 1, MASK_PX, MASK_PX)


@pytest.mark.parametrize(("prompts", "points", "box", "masked"), PROMPTS)
def test_the_split_decoder_is_that_of_transformers(
    model: Sam2Model, prompts: int, points: int, box: bool, masked: bool
) -> None:
    torch.manual_seed(1)
    features = random_features(model)
    asked = random_prompts(model, prompts, points, box=box)
    masks = earlier_masks(prompts) if masked else None
    wanted = proof.whole_answer(model, features, *asked, masks)
    for one, other in zip(proof.split_answer(model, features, *asked, masks), wanted, strict=True):
        assert proof.split_error(one, other) < 1e-6


@pytest.mark.parametrize("masked", [False, True])
def test_the_split_is_exact_but_for_rounding(model: Sam2Model, masked: bool) -> None:
    """In double precision what is left shrinks with the rounding: the sums are the same ones."""
    torch.manual_seed(2)
    double = copy.deepcopy(model).double()
    features = tuple(level.double() for level in random_features(model))
    points, labels = random_prompts(model, 3, 4, box=True)
    masks = earlier_masks(3).double() if masked else None
    wanted = proof.whole_answer(double, features, points.double(), labels, masks)
    got = proof.split_answer(double, features, points.double(), labels, masks)
    assert max(proof.split_error(*pair) for pair in zip(got, wanted, strict=True)) < 1e-13


def test_export_refuses_a_split_that_is_not_equal(model: Sam2Model, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = proof.split_answer
    monkeypatch.setattr(proof, "split_answer", lambda *given: tuple(part + 1e-4 for part in exact(*given)))
    with pytest.raises(SetupProblem, match=r"differs from transformers' by 1\.0e-04"):
        proof.prove_split(model)


@pytest.mark.parametrize(("prompts", "points", "box", "masked"), PROMPTS)
def test_the_graphs_in_a_row_answer_like_transformers(
    model: Sam2Model, repository: Path, prompts: int, points: int, box: bool, masked: bool
) -> None:
    torch.manual_seed(3)
    pixels = drawn_picture(SIDE_PX, seed=3)[None]
    asked = random_prompts(model, prompts, points, box=box)
    masks = earlier_masks(prompts) if masked else None
    with torch.inference_mode():
        fine, middle, embedding = model.get_image_embeddings(pixels)
    wanted = proof.whole_answer(model, (embedding, fine, middle), *asked, masks)
    got = ask_graphs(repository, pixels, *asked, masks)
    for name, tensor in zip(("masks", "iou_scores", "object_scores"), wanted, strict=True):
        assert proof.split_error(torch.from_numpy(got[name]), tensor) < 1e-5


def test_a_prompt_gets_the_same_answer_alone_and_among_others(model: Sam2Model, repository: Path) -> None:
    pixels = drawn_picture(SIDE_PX, seed=4)[None]
    points, labels = random_prompts(model, 9, 2)
    together = ask_graphs(repository, pixels, points, labels)
    alone = ask_graphs(repository, pixels, points[4:5], labels[4:5])
    assert np.abs(together["masks"][4] - alone["masks"][0]).max() < 1e-5


@pytest.mark.parametrize("served", SAM2_MODELS, ids=lambda served: served.name)
def test_config_and_graph_leave_the_same_sizes_open(repository: Path, served: ServedModel) -> None:
    session = open_session(repository / served.name / "1" / "model.onnx")
    for declared, node in zip(served.inputs, session.get_inputs(), strict=True):
        assert (declared.name, with_batch(served, declared)) == (node.name, sizes(node.shape))
    for declared, node in zip(served.outputs, session.get_outputs(), strict=True):
        assert (declared.name, with_batch(served, declared)) == (node.name, sizes(node.shape))


@pytest.mark.parametrize("served", SAM2_MODELS, ids=lambda served: served.name)
def test_no_size_has_a_name_of_the_exporters(repository: Path, served: ServedModel) -> None:
    graph = onnx.load(repository / served.name / "1" / "model.onnx").graph
    names = {dim.dim_param for value in (*graph.input, *graph.output) for dim in value.type.tensor_type.shape.dim}
    assert not [name for name in names if re.fullmatch(r"[su]\d+", name)]


def test_metas_own_folder_with_weights_for_films_is_read(tmp_path: Path) -> None:
    weights = load_file(write_random_video_sam2(tmp_path) / "model.safetensors")
    loaded = load_sam2(tmp_path).state_dict()
    assert any(name.startswith("memory_") for name in weights)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in loaded.items())


def test_another_architecture_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(SetupProblem, match="holds a 'clip', not a SAM2"):
        load_sam2(tmp_path)


def test_a_folder_without_weights_is_one_clear_line(tmp_path: Path) -> None:
    write_random_sam2(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(SetupProblem, match="holds no readable SAM2") as caught:
        load_sam2(tmp_path)
    assert "\n" not in caught.value.detail


def test_a_truncated_file_is_one_clear_line(tmp_path: Path) -> None:
    weights = write_random_sam2(tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(SetupProblem, match="holds no readable SAM2"):
        load_sam2(tmp_path)


def test_a_missing_tensor_is_not_made_up(tmp_path: Path) -> None:
    weights = write_random_sam2(tmp_path) / "model.safetensors"
    tensors = load_file(weights)
    del tensors["mask_decoder.conv_s0.weight"]
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(SetupProblem, match=r"mask_decoder\.conv_s0\.weight is missing"):
        load_sam2(tmp_path)


def test_a_damaged_configuration_is_one_clear_line(tmp_path: Path) -> None:
    config = write_random_sam2(tmp_path) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"vision_config": 5}))
    with pytest.raises(SetupProblem, match="holds no readable SAM2"):
        load_sam2(tmp_path)


def ask_graphs(
    repository: Path,
    pixels: torch.Tensor,
    points: torch.Tensor,
    labels: torch.Tensor,
    masks: torch.Tensor | None = None,
) -> dict[str, np.ndarray]:
    """The way serving goes: each graph takes what those before it gave."""
    given = torch.zeros(1, 1, MASK_PX, MASK_PX) if masks is None else masks
    known = {
        "pixel_values": pixels.numpy(),
        "mask_input": given.numpy(),
        "has_mask": np.full(len(given), masks is not None),
        "points": points.numpy(),
        "labels": labels.numpy(),
    }
    for served in SAM2_MODELS:
        session = open_session(repository / served.name / "1" / "model.onnx")
        answers = session.run(None, {tensor.name: known[tensor.name] for tensor in served.inputs})
        known |= dict(zip([tensor.name for tensor in served.outputs], answers, strict=True))
    return known


def with_batch(served: ServedModel, tensor: Tensor) -> tuple[int, ...]:
    return (-1, *tensor.dims) if served.max_batch_size else tensor.dims


def sizes(shape: list[int | str]) -> tuple[int, ...]:
    return tuple(dim if isinstance(dim, int) else -1 for dim in shape)
