"""Walking an ensemble: outputs become inputs, and a failure stops the walk."""

from collections.abc import Mapping

import numpy as np
import pytest

from modelcore.catalog import CATALOG, PROBES, served_model
from modelcore.contract import ServedModel
from modelcore.errors import ModelUnavailable, Overloaded
from modelcore.images import PictureLimits, decode
from orchestrator.tensors import Array, Arrays, column_of_bytes
from orchestrator.watchdog.probes import fresh_seeds, walk

IDS = np.array([[7]])


class Recorder:
    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.inputs: list[tuple[str, Mapping[str, Array]]] = []

    async def is_model_ready(self, model: str, *, deadline_s: float) -> bool:
        return True

    async def infer(self, model: str, inputs: Mapping[str, Array], *, deadline_s: float) -> Arrays:
        self.inputs.append((model, inputs))
        if model == self.failing:
            raise Overloaded("full")
        names = ("input_ids", "token_count", "truncated", "embedding", "logit_scale", "weights")
        return dict.fromkeys(names, IDS)


async def test_the_output_of_a_step_is_the_input_of_the_next() -> None:
    triton = Recorder()
    seeds = {"text": column_of_bytes([b"a"])}
    walked = await walk(triton, served_model("clip_text_string"), seeds, deadline_s=1)
    assert triton.inputs == [("clip_tokenize", seeds), ("clip_text", {"input_ids": IDS})]
    assert (walked.passed, walked.failure) == (("clip_tokenize", "clip_text", "clip_text_string"), None)


async def test_the_walk_ends_at_the_step_that_fails() -> None:
    triton = Recorder(failing="clip_tokenize")
    walked = await walk(triton, served_model("clip_text_string"), fresh_seeds(), deadline_s=1)
    assert walked.failure is not None
    assert (walked.passed, walked.failure.model, len(triton.inputs)) == ((), "clip_tokenize", 1)


def test_there_is_a_seed_for_every_input_of_every_ensemble() -> None:
    walked = [*(model for model in CATALOG if model.steps), *PROBES]
    needed = {tensor.name for model in walked for tensor in model.inputs}
    assert needed <= fresh_seeds().keys()


def test_what_a_cache_could_answer_is_fresh_and_the_picture_is_one() -> None:
    first, second = fresh_seeds(), fresh_seeds()
    assert all(first[name] != second[name] for name in ("text", "image"))
    assert decode(first["image"][0, 0], PictureLimits()).size == (16, 16)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_a_probe_gives_its_model_what_it_takes(probe: ServedModel) -> None:
    (step,) = probe.steps
    taken = served_model(step.model).inputs
    assert {tensor.name for tensor in taken if not tensor.optional} <= set(step.inputs)
    assert set(step.inputs) <= {tensor.name for tensor in taken}


async def test_a_model_behind_the_one_that_was_called_is_the_one_that_is_named() -> None:
    class DeadPipeline(Recorder):
        async def infer(self, model: str, inputs: Mapping[str, Array], *, deadline_s: float) -> Arrays:
            raise ModelUnavailable("demo", "the model demo has stopped")

    walked = await walk(DeadPipeline(), PROBES[0], fresh_seeds(), deadline_s=1)
    assert walked.failure is not None
    assert walked.failure.model == "demo"
