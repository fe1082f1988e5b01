"""Generated requests against a real server: whatever comes in, no 5xx, and every answer is as the OpenAPI says."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from orchestrator.app import create_app
from orchestrator.settings import Settings
from tests.service.live import LiveServer

SEEDED = settings(
    max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
REFUSED_BY_THEIR_HEAD = {414, 431}  # before any route: test_limits.py
CHECKS = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = LiveServer(tmp_path_factory.mktemp("state"))
    server.start()
    assert server.started.wait(timeout=20)
    yield server.address
    server.stop()


schema = schemathesis.openapi.from_dict(create_app(Settings()).openapi())


@schema.parametrize()
@SEEDED
def test_every_answer_is_as_the_description_says(case: Any, address: str) -> None:
    # A form has only texts: what is wrong as a list, n=[1], is sent as the very bytes of what is right, n=1.
    refuses = [] if case.media_type == "multipart/form-data" else [checks.negative_data_rejection]
    answer = case.call(base_url=address)
    if answer.status_code not in REFUSED_BY_THEIR_HEAD:
        case.validate_response(answer, checks=[*CHECKS, *refuses])


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
HOSTILE_BODIES = st.one_of(
    st.binary(max_size=64),
    ANY_JSON.map(lambda value: json.dumps(value).encode()),
    ANY_JSON.map(lambda value: json.dumps({"input": value}).encode()),
    ANY_JSON.map(lambda value: json.dumps({"input": [value, {"image": value}, {"text": value}]}).encode()),
    st.binary(max_size=40).map(lambda raw: b'{"input": "' + raw + b'"}'),
)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/generate", "/analyze", "/probe", "/segment", "/feedback"])
@SEEDED
@given(body=HOSTILE_BODIES)
def test_no_body_gets_a_500(address: str, path: str, body: bytes) -> None:
    answer = httpx.post(f"{address}{path}", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {200, 400, 404, 415, 422}
