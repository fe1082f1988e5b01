"""int8 and fp16 on small graphs written here, against fp32 in ONNX Runtime and against closed forms."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export import precision
from export.half_rehearsal import rehearse_half
from export.int8 import local_error, products
from export.parity import open_session
from export.plan import Precision
from export.precision import RECIPES, Recipe, convert
from modelcore.errors import SetupProblem

WIDTH = 64
RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.standard_normal((WIDTH, WIDTH), dtype=np.float32)
ROWS = RANDOM.standard_normal((5, WIDTH), dtype=np.float32)
CASES = {"one row": {"x": ROWS[:1]}, "five rows": {"x": ROWS}}


def save(folder: Path, nodes: list[onnx.NodeProto], weights: dict[str, NDArray[Any]], x: list[str | int]) -> Path:
    """One input x, one output y, both float32."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], name=output, **attributes)


def run(path: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    (answer,) = open_session(path).run(None, {"x": x})
    return np.asarray(answer)


@pytest.fixture
def product(tmp_path: Path) -> Path:
    return save(tmp_path, [node("MatMul", "x w", "y")], {"w": WEIGHT}, ["batch", WIDTH])


@pytest.fixture
def attention(tmp_path: Path) -> Path:
    """A norm, a product, a mask as transformers writes it, a softmax: one row attends to itself and the one before."""
    nodes = [
        node("LayerNormalization", "x gain", "normal"),
        node("MatMul", "normal w", "hidden"),
        node("Where", "seen hidden lowest", "masked"),
        node("Softmax", "masked", "shares"),
        node("MatMul", "shares w", "mixed"),
        node("Add", "mixed x", "y"),
    ]
    seen = np.arange(WIDTH) % 3 > 0
    lowest = np.array(np.finfo(np.float32).min, np.float32)
    weights = {"w": WEIGHT, "gain": np.ones(WIDTH, np.float32), "seen": seen, "lowest": lowest}
    return save(tmp_path, nodes, weights, ["batch", WIDTH])


def test_an_integer_product_is_as_far_off_as_the_closed_form_says(product: Path) -> None:
    got, wanted = run(convert(product, "int8", "unet", CASES).path, ROWS), ROWS @ WEIGHT
    measured = float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))
    assert 0.001 < measured < 0.02
    assert local_error(ROWS, WEIGHT) == pytest.approx(measured, rel=1e-3)


def test_an_answer_in_int8_does_not_depend_on_its_batch(product: Path) -> None:
    path = convert(product, "int8", "unet", CASES).path
    crowd = np.concatenate([ROWS[:1], 100 * ROWS[1:]])
    assert (run(path, crowd)[:1] == run(path, crowd[:1])).all()


def test_a_row_of_zeros_stays_zero_in_int8(product: Path) -> None:
    path = convert(product, "int8", "unet", CASES).path
    assert (run(path, np.zeros((2, WIDTH), np.float32)) == 0).all()


def test_weights_leave_room_for_the_sums_of_cpus_without_vnni(product: Path) -> None:
    model = onnx.load(convert(product, "int8", "unet", CASES).path)
    (codes,) = [weight for weight in model.graph.initializer if weight.data_type == TensorProto.INT8]
    assert np.abs(numpy_helper.to_array(codes).astype(int)).max() * 255 * 2 <= np.iinfo(np.int16).max


def test_a_conversion_tells_its_cost_beside_its_gain(product: Path) -> None:
    made = convert(product, "int8", "unet", CASES)
    assert 0 < made.relative_error < 0.05
    assert 0.999 < made.cosine < 1
    assert made.size_ratio < 0.6
    assert made.speed_ratio is not None
    assert "times as fast" in made.summary
    assert "relative error" in made.summary


def test_one_activation_is_rounded_once_for_all_its_products(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "query"), node("MatMul", "x v", "key"), node("Add", "query key", "y")]
    path = save(tmp_path, nodes, {"w": WEIGHT, "v": -2 * WEIGHT}, ["batch", WIDTH])
    operators = [item.op_type for item in onnx.load(convert(path, "int8", "unet", CASES).path).graph.node]
    assert (operators.count("MatMulInteger"), operators.count("QuantizeLinear")) == (2, 1)


def test_a_product_with_outliers_stays_in_fp32(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "good"), node("MatMul", "far v", "bad"), node("Add", "x shift", "far")]
    nodes = [nodes[0], nodes[2], nodes[1], node("Add", "good bad", "y")]
    shift = np.zeros(WIDTH, np.float32)
    shift[0] = 1e4  # one step of its row's scale is now larger than all its other numbers
    blind = WEIGHT.copy()
    blind[0] = 0
    path = save(tmp_path, nodes, {"w": WEIGHT, "v": blind, "shift": shift}, ["batch", WIDTH])
    made = convert(path, "int8", "unet", CASES)
    assert made.kept_fp32 == ("bad",)
    assert made.relative_error < 0.02


def test_a_network_without_a_large_product_stays_as_it_is(tmp_path: Path) -> None:
    path = save(tmp_path, [node("MatMul", "x w", "y")], {"w": WEIGHT[:, :8].copy()}, ["batch", WIDTH])
    made = convert(path, "int8", "unet", CASES)
    assert (made.path, made.precision, products(onnx.load(path))) == (path, "fp32", [])


@pytest.mark.parametrize("kind", ["int8", "fp16"])
def test_beyond_its_bound_a_conversion_fails_and_leaves_nothing(
    product: Path, kind: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "unet", Recipe(max_int8_error=1e-9))
    monkeypatch.setattr(precision, "MAX_FP16_ERROR", 1e-9)
    with pytest.raises(SetupProblem, match=f"unet in {kind} differs from fp32 by .* at most 1e-09"):
        convert(product, kind, "unet", CASES)
    assert [path.name for path in product.parent.iterdir()] == ["model.onnx"]


def test_an_answer_that_is_not_finite_is_beyond_every_bound(tmp_path: Path) -> None:
    path = save(tmp_path, [node("Mul", "x far", "y")], {"far": np.array(6e4, np.float32)}, ["batch", WIDTH])
    with pytest.raises(SetupProblem, match="differs from fp32 by inf"):
        convert(path, "fp16", "unet", {"large": {"x": np.full((1, WIDTH), 1000, np.float32)}})


def test_a_graph_in_fp16_keeps_its_ends_and_halves_its_weights(attention: Path) -> None:
    made = convert(attention, "fp16", "text_encoder", CASES)
    (source,), (answer,) = open_session(made.path).get_inputs(), open_session(made.path).get_outputs()
    assert (source.type, answer.type) == ("tensor(float)", "tensor(float)")
    kinds = {weight.name: weight.data_type for weight in onnx.load(made.path).graph.initializer}
    assert (kinds["w__fp16"], kinds["gain"]) == (TensorProto.FLOAT16, TensorProto.FLOAT)  # the norm's stays
    assert "w" not in kinds


def test_a_mask_of_the_lowest_number_stays_finite_in_fp16(attention: Path) -> None:
    made = convert(attention, "fp16", "text_encoder", CASES)
    assert np.isfinite(run(made.path, ROWS)).all()
    assert 0 < made.relative_error < 2e-3


def test_no_value_is_cast_to_the_same_type_twice(attention: Path) -> None:
    nodes = onnx.load(convert(attention, "fp16", "text_encoder", CASES).path).graph.node
    casts = [(item.input[0], item.attribute[0].i) for item in nodes if item.op_type == "Cast"]
    assert len(casts) == len(set(casts)) > 0


def test_an_angle_of_a_late_timestep_is_not_rounded(tmp_path: Path) -> None:
    """999.3 in fp16 is 999.5: a fifth of a radian."""
    nodes = [node("Mul", "x pace", "angle"), node("Sin", "angle", "y")]
    path = save(tmp_path, nodes, {"pace": np.array([1, 0.9], np.float32)}, ["batch", 1])
    late = {"late": {"x": np.array([[999.3]], np.float32)}}
    made = convert(path, "fp16", "unet", late)
    assert np.abs(run(made.path, late["late"]["x"]) - np.sin([999.3, 899.37])).max() < 1e-3


def test_constants_inside_the_graph_become_fp16_too(tmp_path: Path) -> None:
    half = helper.make_node(
        "Constant", [], ["half"], name="half", value=numpy_helper.from_array(np.array(0.5, np.float32))
    )
    path = save(tmp_path, [half, node("Mul", "x half", "y")], {}, ["batch", WIDTH])
    assert np.abs(run(convert(path, "fp16", "unet", CASES).path, ROWS) - ROWS / 2).max() < 1e-3


def test_a_large_graph_gets_one_data_file_beside_it(product: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "ONE_FILE_BYTES", 0)
    made = convert(product, "fp16", "unet", CASES)
    names = sorted(path.name for path in product.parent.iterdir())
    assert names == ["model.fp16.onnx", "model.fp16.onnx.data", "model.onnx"]
    assert made.size_ratio < 0.7


@pytest.mark.parametrize(("kind", "what"), [("vae_decoder", "fp16"), ("vae_decoder", "int8"), ("sam2_decoder", "int8")])
def test_a_network_that_does_not_bear_it_stays_in_fp32_with_the_reason(
    product: Path, kind: str, what: Precision
) -> None:
    made = convert(product, what, kind, CASES)
    assert (made.path, made.precision) == (product, "fp32")
    assert len(made.why_fp32) > 20


def test_an_unknown_kind_of_network_is_refused_by_name(product: Path) -> None:
    with pytest.raises(SetupProblem, match="no recipe for int8 of a upscaler"):
        convert(product, "int8", "upscaler", CASES)


def test_a_rehearsal_rounds_between_products_as_fp16_does(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "hidden"), node("Mul", "hidden third", "y")]
    path = save(tmp_path, nodes, {"w": WEIGHT, "third": np.array(1 / 3, np.float32)}, ["batch", WIDTH])
    model = onnx.load(path)
    rehearse_half(model, lambda _: False)
    onnx.save(model, path)
    hidden = (ROWS @ WEIGHT.astype(np.float16).astype(np.float32)).astype(np.float16)
    wanted = (hidden.astype(np.float32) * np.float16(1 / 3).astype(np.float32)).astype(np.float16)
    assert (run(path, ROWS).astype(np.float16) == wanted).mean() > 0.99  # sums may be taken in another order
    assert (run(path, ROWS) == run(path, ROWS).astype(np.float16)).all()


def test_a_rehearsal_overflows_where_fp16_does_although_the_answer_would_fit(tmp_path: Path) -> None:
    weights = {"far": np.array(6e4, np.float32), "near": np.array(1e-3, np.float32)}
    path = save(tmp_path, [node("Mul", "x far", "high"), node("Mul", "high near", "y")], weights, ["batch", 4])
    with pytest.raises(SetupProblem, match="differs from fp32 by inf"):
        convert(path, "fp16", "unet", {"large": {"x": np.full((1, 4), -2, np.float32)}})
