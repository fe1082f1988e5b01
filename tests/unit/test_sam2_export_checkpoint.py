"""Meta's .pt to safetensors: names, sizes, and what is refused.

That the same NUMBERS come out of Meta's package and of the converted folder is for tests/slow/test_meta_sam2.py.
"""

import pickle
from pathlib import Path

import pytest
import torch
from transformers import Sam2Model

from export.sam2.convert import convert
from export.sam2.meta_names import to_transformers
from export.sam2.meta_sizes import SIZES, config_of, size_config
from export.sam2.source import load_sam2
from modelcore.errors import SetupProblem
from triptych.cli import main

META_NAMES = Path(__file__).with_name("test_sam2_export_meta_names.txt")


def meta_state(device: str) -> dict[str, torch.Tensor]:
    lines = [line.split(" ") for line in META_NAMES.read_text().splitlines() if not line.startswith("#")]
    shapes = {name: [int(size) for size in shape.split(",") if size] for name, shape in lines}
    return {name: torch.full(shape, 0.5, device=device) for name, shape in shapes.items()}


class Code:
    """Runs a command when unpickled carelessly."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


def test_every_name_of_metas_has_its_place_and_every_place_its_name() -> None:
    weights = to_transformers(meta_state("meta"))
    with torch.device("meta"):
        model = Sam2Model(config_of(weights))
    model.load_state_dict(weights, assign=True)  # strict in names and shapes


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_each_size_is_known_by_its_weights(size: object) -> None:
    with torch.device("meta"):
        model = Sam2Model(size_config(size))  # type: ignore[arg-type]
    assert config_of(model.state_dict()).to_dict() == model.config.to_dict()


def test_points_and_picture_share_one_encoding_of_places() -> None:
    weights = to_transformers(meta_state("cpu"))
    ours, theirs = "shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding"
    assert (weights[ours] == weights[theirs]).all()


def test_a_checkpoint_becomes_a_folder_that_export_reads(tmp_path: Path) -> None:
    torch.save({"model": meta_state("cpu")}, tmp_path / "tiny.pt")
    assert main(["convert_sam2", str(tmp_path / "tiny.pt"), str(tmp_path / "tiny")]) == 0
    assert load_sam2(tmp_path / "tiny").no_memory_embedding.mean() == 0.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny", "tiny.pt"]


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": Code(tmp_path / "ran")}, tmp_path / "bad.pt")
    assert main(["convert_sam2", str(tmp_path / "bad.pt"), str(tmp_path / "to")]) == 1
    error = capsys.readouterr().err
    assert "is refused: it holds code (" in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pt"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is refused"),
        (b"not a checkpoint at all", "is refused"),
        (pickle.dumps({"model": 1}), "is refused"),
    ],
    ids=["empty", "text", "no tensors"],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(SetupProblem, match=reason) as caught:
        convert(tmp_path / "bad.pt", tmp_path / "to")
    assert "\n" not in caught.value.detail
    assert not (tmp_path / "to").exists()


def test_another_networks_weights_are_no_sam2(tmp_path: Path) -> None:
    torch.save({"model": {"layer.weight": torch.zeros(2, 2)}}, tmp_path / "other.pt")
    with pytest.raises(SetupProblem, match="is no SAM2: its weights fit none of SAM2's sizes"):
        convert(tmp_path / "other.pt", tmp_path / "to")


def test_a_folder_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match="is there already"):
        convert(tmp_path / "any.pt", tmp_path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match=r"there is no file .*any\.pt"):
        convert(tmp_path / "any.pt", tmp_path / "to")
