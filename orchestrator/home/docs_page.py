"""/docs: the OpenAPI description as one plain page. Pure: a dict in, HTML out.

Swagger UI and its like load megabytes of script from somebody else's server. This works offline and needs no script.
"""

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f4;padding:1rem;overflow:auto}"
    "h2{border-top:1px solid #ccc;padding-top:1rem}h2 code{font-size:inherit}dt{font-weight:bold}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def render_docs(openapi: dict[str, Any]) -> str:
    title = html.escape(f"{openapi['info']['title']} {openapi['info']['version']}")
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
            f"<style>{_STYLE}</style><h1>{title}</h1>",
            '<p>Machine-readable: <a href="/openapi.json">openapi.json</a></p>',
            *_operations(openapi),
            "<h2>Schemas</h2>",
            *_schemas(openapi),
            "</html>",
        ]
    )


def _operations(openapi: dict[str, Any]) -> Iterator[str]:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>"
            yield f"<p>{html.escape(operation.get('description') or operation['summary'])}</p>"
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                yield f"<p>Body: <code>{html.escape(media_type)}</code></p>{_json(content['schema'])}"
            yield from _answers(operation)


def _answers(operation: dict[str, Any]) -> Iterator[str]:
    yield "<dl>"
    for status, response in operation["responses"].items():
        yield f"<dt>{html.escape(status)}</dt><dd>{html.escape(response['description'])}{_schema_links(response)}</dd>"
    yield "</dl>"


def _schema_links(response: dict[str, Any]) -> str:
    """The names of the answer's shapes, each leading to where it stands below."""
    references = (content.get("schema", {}).get("$ref", "") for content in response.get("content", {}).values())
    names = [html.escape(reference.rpartition("/")[2]) for reference in references if reference]
    return "".join(f' (<a href="#{name}">{name}</a>)' for name in names)


def _schemas(openapi: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(openapi.get("components", {}).get("schemas", {}).items()):
        yield f'<h3 id="{html.escape(name)}">{html.escape(name)}</h3>{_json(schema)}'


def _json(document: Any) -> str:
    return f"<pre>{html.escape(json.dumps(document, indent=2, ensure_ascii=False))}</pre>"
