from dataclasses import replace

import pytest
from google.protobuf import text_format

from modelcore.catalog import CATALOG, served_model
from modelcore.contract import (
    DataType,
    DynamicBatching,
    EnsembleStep,
    GpuProfile,
    InstanceGroup,
    ServedModel,
    Tensor,
    Warmup,
)
from modelcore.pbtxt import parse, render

MODEL = ServedModel(
    name="net",
    backend="onnxruntime",
    about="A network.",
    inputs=(Tensor("x", DataType.FP16, (3, -1), "in"), Tensor("note", DataType.BYTES, (1,), "said", optional=True)),
    outputs=(Tensor("y", DataType.BOOL, (-1,), "out"),),
    max_batch_size=8,
    batching=DynamicBatching(preferred_sizes=(4, 8), max_queue_delay_us=100),
    instances=InstanceGroup(),
    response_cache=True,
    parameters={"session.disable_prepacking": "1"},
    gpu=GpuProfile(InstanceGroup("KIND_GPU", 2), ("tensorrt",), {"precision_mode": "FP16"}),
    why={"instances": "because"},
)


def test_tensors_keep_name_type_dims_and_optionality() -> None:
    first, second = parse(render(MODEL)).input
    assert (first.name, first.data_type, list(first.dims), first.optional) == ("x", 10, [3, -1], False)  # TYPE_FP16
    assert (second.name, second.data_type, list(second.dims), second.optional) == ("note", 13, [1], True)  # STRING


def test_batching_is_written() -> None:
    batching = parse(render(MODEL)).dynamic_batching
    assert list(batching.preferred_batch_size) == [4, 8]
    assert batching.max_queue_delay_microseconds == 100


def test_the_gpu_profile_changes_instances_and_accelerators_only() -> None:
    default, gpu = parse(render(MODEL)), parse(render(MODEL, "gpu"))
    assert [(group.kind, group.count) for group in gpu.instance_group] == [(1, 2)]  # KIND_GPU
    (accelerator,) = gpu.optimization.execution_accelerators.gpu_execution_accelerator
    assert (accelerator.name, dict(accelerator.parameters)) == ("tensorrt", {"precision_mode": "FP16"})
    for config in (default, gpu):
        config.ClearField("instance_group")
        config.ClearField("optimization")
    assert default == gpu


def test_the_gpu_profile_may_serve_another_file_with_another_backend() -> None:
    model = replace(MODEL, gpu=GpuProfile(InstanceGroup("KIND_GPU"), backend="tensorrt", file="model.plan"))
    default, gpu = parse(render(model)), parse(render(model, "gpu"))
    assert (default.backend, default.default_model_filename) == ("onnxruntime", "")
    assert (gpu.backend, gpu.default_model_filename) == ("tensorrt", "model.plan")


def test_the_gpu_profile_adds_parameters_to_the_models_own() -> None:
    model = replace(MODEL, gpu=GpuProfile(InstanceGroup("KIND_GPU"), parameters={"cudnn_conv_algo_search": "1"}))
    gpu = {key: value.string_value for key, value in parse(render(model, "gpu")).parameters.items()}
    assert gpu == {"session.disable_prepacking": "1", "cudnn_conv_algo_search": "1"}
    assert list(parse(render(model)).parameters) == ["session.disable_prepacking"]


def test_a_warm_up_gives_zeros_to_every_input_of_the_gpu_profile_only() -> None:
    warmup = Warmup("largest", 8, {"x": (3, 32), "note": (1,)})
    model = replace(MODEL, gpu=GpuProfile(InstanceGroup("KIND_GPU"), warmups=(warmup,)))
    (written,) = parse(render(model, "gpu")).model_warmup
    assert (written.name, written.batch_size, list(written.inputs["x"].dims)) == ("largest", 8, [3, 32])
    assert all(given.zero_data for given in written.inputs.values())
    assert not parse(render(model)).model_warmup


def test_a_model_without_batching_still_says_so() -> None:
    model = ServedModel("m", "python", "about", (), (), max_batch_size=0)
    assert "max_batch_size: 0" in render(model)


def test_reasons_travel_as_comments() -> None:
    assert "# because\ninstance_group" in render(MODEL)


def test_an_ensemble_maps_its_steps() -> None:
    step = EnsembleStep("net", {"x": "picture"}, {"y": "answer"})
    model = ServedModel("e", "ensemble", "about", (), (), max_batch_size=1, steps=(step,))
    config = parse(render(model))
    assert config.platform == "ensemble"
    assert dict(config.ensemble_scheduling.step[0].input_map) == {"x": "picture"}


def test_a_misspelt_key_is_refused() -> None:
    with pytest.raises(text_format.ParseError):
        parse('name: "m" dynamic_batchin {}')


@pytest.mark.parametrize("model", CATALOG, ids=lambda model: model.name)
def test_every_step_of_an_ensemble_fits_the_models_it_calls(model: ServedModel) -> None:
    known = {tensor.name: tensor for tensor in model.inputs}
    for step in model.steps:
        called = served_model(step.model)
        for tensor in called.inputs:
            given = known[step.inputs[tensor.name]]
            assert (given.data_type, given.dims) == (tensor.data_type, tensor.dims)
        known |= {step.outputs[tensor.name]: tensor for tensor in called.outputs if tensor.name in step.outputs}
    assert {tensor.name for tensor in model.outputs} <= known.keys() or not model.steps
