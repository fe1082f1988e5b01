"""What is done to a proven graph before it is put in place."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from export.components import Component, choose
from export.configs import write_config
from export.finishing import axis_ranges, take_place
from export.graph import GraphInput
from export.network import Network
from export.parity import open_session
from export.profiles import AxisRange
from modelcore.catalog import served_model
from modelcore.family import Family, read_family
from modelcore.repository import EXPORTED_HEADER, drifted
from modelcore.repository import write as write_committed
from triptych.project import FAMILIES


def write_graph(path: Path, factor: float, *, with_data: bool) -> None:
    """y = x * factor, the factors in a file beside it if asked."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [300]) for name in "xy"]
    weight = numpy_helper.from_array(np.full(300, factor, np.float32), "w")
    node = helper.make_node("Mul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", value[:1], value[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    location = f"{path.name}.data"
    onnx.save(model, path, save_as_external_data=with_data, location=location, size_threshold=100)


@pytest.mark.parametrize("had_data", [True, False])
@pytest.mark.parametrize("has_data", [True, False])
def test_a_converted_graph_takes_the_place_of_the_first_with_its_data(
    tmp_path: Path, had_data: bool, has_data: bool
) -> None:
    write_graph(tmp_path / "model.onnx", 2, with_data=had_data)
    write_graph(tmp_path / "model.int8.onnx", 3, with_data=has_data)
    take_place(tmp_path / "model.int8.onnx", tmp_path / "model.onnx")
    (answer,) = open_session(tmp_path / "model.onnx").run(None, {"x": np.ones(300, np.float32)})
    assert (answer == 3).all()
    assert len(list(tmp_path.iterdir())) == 1 + has_data


@pytest.fixture
def family() -> Family:
    return read_family(FAMILIES / "sd14")


def network(name: str, symbols: dict[int, str], *sizes: tuple[int, ...]) -> Network:
    tensors = {str(size): (torch.zeros(size),) for size in sizes}
    item = GraphInput(name, torch.zeros(sizes[0]), tuple(symbols), symbols)
    return Network(torch.nn.Identity(), (item,), (), tensors)


def component(family: Family, name: str) -> Component:
    (chosen,) = choose(family, (name,))
    return chosen


def test_pictures_and_latents_have_the_sizes_of_the_familys_limits(family: Family) -> None:
    latents = network("latents", {0: "batch", 2: "latent_height", 3: "latent_width"}, (2, 4, 5, 6))
    wanted = AxisRange(32, 64, 96)  # 256, 512 and 768 pixels
    assert axis_ranges(family, component(family, "vae_decoder"), latents) == {
        "latent_height": wanted,
        "latent_width": wanted,
    }


def test_what_nothing_knows_has_the_sizes_it_was_tried_at(family: Family) -> None:
    ids = network("input_ids", {0: "batch", 1: "length"}, (1, 77), (5, 7))
    assert axis_ranges(family, component(family, "clip_text"), ids) == {"length": AxisRange(7, 77, 77)}


def test_a_clip_picture_is_not_as_large_as_a_made_one(family: Family) -> None:
    picture = network("pixel_values", {0: "batch", 2: "height", 3: "width"}, (1, 3, 224, 224))
    assert axis_ranges(family, component(family, "clip_image"), picture)["height"] == AxisRange(224, 224, 224)


def test_a_configuration_of_ours_is_written_again_and_another_is_not(tmp_path: Path) -> None:
    model = served_model("clip_text")
    write_config(tmp_path, model)
    path = tmp_path / "clip_text" / "config.pbtxt"
    assert path.read_text().startswith(f"{EXPORTED_HEADER}\n")
    path.write_text(f"{EXPORTED_HEADER}\nold")
    write_config(tmp_path, model)
    assert "old" not in path.read_text()
    path.write_text("mine")
    write_config(tmp_path, model)
    assert path.read_text() == "mine"


def test_a_configuration_made_by_export_is_no_drift(family: Family, tmp_path: Path) -> None:
    write_committed(tmp_path)
    write_config(tmp_path, component(family, "unet").model)
    assert drifted(tmp_path) == []
