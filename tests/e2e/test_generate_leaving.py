"""A client of the REST service goes away, and the networks behind it stop."""

import contextlib
import http.client
import json

import httpx
import pytest

from tests.served_family import metric
from tests.triptych_process import Addresses
from tests.triton.conftest import eventually

pytestmark = pytest.mark.triton
STEPS = 100
# As much work as one request may ask for.
LONG = {"prompt": "a large red circle", "steps": STEPS, "width": 256, "height": 256, "analyze": False}


def unet_calls(triptych: Addresses) -> float:
    return metric(triptych.triton_metrics, "nv_inference_exec_count", "demo_unet")


def is_idle(triptych: Addresses) -> bool:
    return metric(triptych.triton_metrics, "triptych_diffusion_rows_in_flight", "demo") == 0


def test_leaving_a_stream_stops_the_painting(triptych: Addresses) -> None:
    before = unet_calls(triptych)
    headers = {"Accept": "text/event-stream"}
    url = f"http://{triptych.rest}/generate"
    with httpx.stream("POST", url, json=LONG, headers=headers, timeout=60) as answer:
        assert next(answer.iter_lines()) == "event: progress"
    assert eventually(lambda: is_idle(triptych))
    assert unet_calls(triptych) - before < STEPS


def test_hanging_up_before_the_answer_stops_the_painting(triptych: Addresses) -> None:
    before = unet_calls(triptych)
    with contextlib.closing(http.client.HTTPConnection(triptych.rest)) as connection:
        connection.request("POST", "/generate", json.dumps(LONG), {"Content-Type": "application/json"})
        assert eventually(lambda: unet_calls(triptych) > before)
    assert eventually(lambda: is_idle(triptych))
    assert unet_calls(triptych) - before < STEPS
