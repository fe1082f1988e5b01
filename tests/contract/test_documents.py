"""The pages of docs/ that are made from the code are what the code says, and the description says all there is."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from orchestrator.app import create_app
from orchestrator.documents import OPENAPI_PAGE, drifted, render_openapi
from orchestrator.edge.access import is_open
from orchestrator.examples import EXAMPLES
from orchestrator.settings import Settings

DESCRIPTION: dict[str, Any] = json.loads(render_openapi())
OPERATIONS = [
    (f"{method.upper()} {path}", path, operation)
    for path, operations in DESCRIPTION["paths"].items()
    for method, operation in operations.items()
]
each_operation = pytest.mark.parametrize(
    ("name", "path", "operation"), OPERATIONS, ids=[name for name, *_ in OPERATIONS]
)


def test_the_committed_pages_are_what_the_code_says() -> None:
    assert list(drifted()) == []


def test_every_example_is_of_a_shape_that_is_there() -> None:
    assert set(EXAMPLES) - set(DESCRIPTION["components"]["schemas"]) == set()


def test_a_server_that_needs_keys_says_so() -> None:
    description = create_app(Settings(require_keys=True)).openapi()
    assert description["paths"]["/images"]["get"]["security"] == [{"ApiKey": ["read"]}]


def test_a_page_that_drifts_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.documents.render_pages", lambda: {OPENAPI_PAGE: "{}"})
    assert list(drifted()) == ["docs/openapi.json is not what the code says; `make configs` writes it again\n"]


@each_operation
def test_every_operation_says_what_key_it_takes(name: str, path: str, operation: dict[str, Any]) -> None:
    if is_open(path):
        assert operation["security"] == []
    else:
        key, none = operation["security"]
        assert (len(key["ApiKey"]), none) == (1, {})


@each_operation
def test_every_guarded_operation_has_the_errors_of_the_guard(name: str, path: str, operation: dict[str, Any]) -> None:
    assert is_open(path) or {"401", "403", "429"} <= set(operation["responses"])


def test_nothing_promises_the_frameworks_own_error() -> None:
    assert [name for name, _, operation in OPERATIONS if "ValidationError" in json.dumps(operation)] == []
    assert [name for name in DESCRIPTION["components"]["schemas"] if "ValidationError" in name] == []


def test_every_operation_that_takes_an_idempotency_key_says_so() -> None:
    silent = {name for name, _, operation in OPERATIONS if "Idempotency-Key" not in parameters_of(operation)}
    takers = {
        *("POST /generate", "POST /variations", "POST /analyze", "POST /segment", "POST /jobs", "POST /generate-image"),
        *("POST /v1/images/generations", "POST /v1/images/edits", "POST /v1/images/variations"),
    }
    assert takers & silent == set()
    assert takers <= {name for name, *_ in OPERATIONS}


@each_operation
def test_every_request_and_every_answer_is_shown_by_an_example(name: str, path: str, operation: dict[str, Any]) -> None:
    shown = [(where, list(examples_of(content))) for where, content in contents_of(operation)]
    assert [where for where, examples in shown if not examples] == []


@each_operation
def test_every_example_is_as_its_schema_says(name: str, path: str, operation: dict[str, Any]) -> None:
    for where, content in contents_of(operation):
        for example in examples_of(content):
            schema = {**content.get("schema", {}), "components": DESCRIPTION["components"]}
            jsonschema.validate(example, schema, jsonschema.Draft202012Validator), where


def contents_of(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The request, as JSON and as a form, and what each answer that is no error says in JSON."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"request as {media_type}", content
    for status, response in operation["responses"].items():
        content = response.get("content", {}).get("application/json")
        if status.startswith("2") and content is not None:
            yield status, content


def parameters_of(operation: dict[str, Any]) -> list[str]:
    return [parameter["name"] for parameter in operation.get("parameters", ())]


def examples_of(content: dict[str, Any]) -> Iterator[Any]:
    """Beside the schema, or in it; in each of them where there is a choice."""
    if "example" in content:
        yield content["example"]
    yield from (example["value"] for example in content.get("examples", {}).values())
    schema = content.get("schema", {})
    for variant in schema.get("anyOf", [schema]):
        resolved = DESCRIPTION["components"]["schemas"].get(variant.get("$ref", "").rpartition("/")[2], variant)
        yield from resolved.get("examples", ())
