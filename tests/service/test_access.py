"""Who is let in, as whom, and what for. Every route of the app is walked, so none is forgotten."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from fastapi.routing import iter_route_contexts
from PIL import Image

from modelcore.images import encode_png
from orchestrator.app import create_app
from orchestrator.edge.access import OPEN_FOLDERS, OPEN_PATHS, is_open
from orchestrator.edge.scopes import declared_scope
from orchestrator.keys.service import SCOPES
from orchestrator.settings import Settings
from tests.service.conftest import FAMILIES, Serve
from tests.service.keys import bearer, keys_of, new_key, use_key

NO_ID = "00000000-0000-4000-8000-000000000000"
WRONG = "tt_" + "x" * 43


def routes() -> Iterator[tuple[str, str, str | None]]:
    """Method, path and declared scope of everything that the app answers to."""
    for route in iter_route_contexts(create_app(Settings(families_folder=FAMILIES)).routes):
        assert route.path is not None
        for method in sorted(route.methods or ()):
            yield method, route.path, declared_scope(route.endpoint)


ROUTES = list(routes())
GUARDED = [(method, path, scope) for method, path, scope in ROUTES if not is_open(path)]


def address(path: str) -> str:
    return re.sub(r"\{\w+\}", NO_ID, path)


def test_only_these_addresses_are_open() -> None:
    health = {"/health/live", "/health/ready", "/api/health/live", "/api/health/ready"}
    links = {"/v1/images/files/{token}", "/api/v1/images/files/{token}"}
    assert {path for _, path, _ in ROUTES if is_open(path)} == {"/", "/docs", "/openapi.json", *health, *links}


@pytest.mark.parametrize("folder", OPEN_FOLDERS)
@pytest.mark.parametrize("token", ["", "x", "../../../images", "..%2f..%2fimages", "x/file"])
async def test_below_an_open_folder_there_is_nothing_else(serve: Serve, folder: str, token: str) -> None:
    async with serve(require_keys=True) as client:
        assert (await client.get(f"{folder}{token}")).status_code in {401, 404}


@pytest.mark.parametrize(("method", "path", "scope"), GUARDED)
def test_every_guarded_route_declares_what_a_key_must_have(method: str, path: str, scope: str | None) -> None:
    assert scope in SCOPES, f"{method} {path}: put @needs(...) under its decorator"


async def test_without_a_key_every_guarded_route_is_401(serve: Serve) -> None:
    async with serve(require_keys=True) as client:
        answers = {(method, path): await client.request(method, address(path)) for method, path, _ in GUARDED}
    assert {route: answer.status_code for route, answer in answers.items()} == dict.fromkeys(answers, 401)
    assert {answer.headers["WWW-Authenticate"] for answer in answers.values()} == {"Bearer"}


async def test_a_key_without_the_scope_is_403_on_every_guarded_route(serve: Serve) -> None:
    async with serve(require_keys=True) as client:
        keys = {scope: await new_key(client, [other for other in SCOPES if other != scope]) for scope in SCOPES}
        for method, path, scope in GUARDED:
            needed = scope or "admin"
            answer = await client.request(method, address(path), headers=bearer(keys[needed]))
            assert answer.status_code == 403, f"{method} {path}"
            assert f"the scope {needed}" in answer.text


@pytest.mark.parametrize("path", ["/segment", "/analyze"])
async def test_a_job_instead_of_an_answer_takes_the_scope_of_jobs(serve: Serve, path: str) -> None:
    async with serve(require_keys=True) as client:
        looks = bearer(await new_key(client, ["read"])) | {"Prefer": "respond-async"}
        files = {"image": ("a.png", encode_png(Image.new("RGB", (40, 30))), "image/png")}
        answer = await client.post(path, files=files, headers=looks)
    assert answer.status_code == 403
    assert "the scope create" in answer.text


async def test_a_route_that_declares_nothing_is_for_admins(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(require_keys=True) as client:
        monkeypatch.delattr("orchestrator.models.router.describe_models.needed_key_scope")
        user, admin = await new_key(client), await new_key(client, ["admin"])
        answers = [await client.get("/model/info", headers=bearer(key)) for key in (user, admin)]
    assert [answer.status_code for answer in answers] == [403, 200]


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
async def test_an_open_address_asks_for_no_key(serve: Serve, path: str) -> None:
    async with serve(require_keys=True) as client:
        assert (await client.get(path)).status_code in {200, 503}  # not ready is an answer, too


@pytest.mark.parametrize("path", ["/nothing", "/api", "/health/live/", "//health/live", "/docs/x", "/v1/nothing"])
async def test_where_keys_are_needed_even_nothing_is_401(serve: Serve, path: str) -> None:
    async with serve(require_keys=True) as client:
        assert (await client.get(path)).status_code == 401


async def test_head_is_guarded_as_get_is(serve: Serve) -> None:
    async with serve(require_keys=True) as client:
        assert (await client.head("/images")).status_code == 401


async def test_a_key_lets_its_holder_in(serve: Serve) -> None:
    async with serve(require_keys=True) as client:
        await use_key(client)
        painted = await client.post("/generate", json={"prompt": "a red circle", "analyze": False})
        assert painted.status_code == 200
        assert (await client.get(f"/images/{painted.json()['image_id']}")).status_code == 200
        assert "set-cookie" not in painted.headers


@pytest.mark.parametrize("header", ["Bearer  {}", "bearer {}", "BEARER {}", " Bearer {}\t"])
async def test_the_scheme_is_read_as_http_says(serve: Serve, header: str) -> None:
    async with serve(require_keys=True) as client:
        token = (await new_key(client)).token
        assert (await client.get("/images", headers={"Authorization": header.format(token)})).status_code == 200


@pytest.mark.parametrize(
    "header", ["{}", "Bearer", "Bearer ", "Basic {}", "Bearer {}x", "Bearer x {}", "Token {}", "Bearer é"]
)
async def test_what_is_not_a_key_is_401_where_one_is_needed(serve: Serve, header: str) -> None:
    async with serve(require_keys=True) as client:
        sent = header.format((await new_key(client)).token).encode()
        assert (await client.get("/images", headers={b"Authorization": sent})).status_code == 401


async def test_two_authorization_headers_are_401(serve: Serve) -> None:
    async with serve(require_keys=True) as client:
        token = (await new_key(client)).token
        twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
        assert (await client.get("/images", headers=twice)).status_code == 401


@pytest.mark.parametrize("require_keys", [True, False])
async def test_a_wrong_key_is_401_also_where_none_is_needed(serve: Serve, require_keys: bool) -> None:
    async with serve(require_keys=require_keys) as client:
        answer = await client.get("/images", headers={"Authorization": f"Bearer {WRONG}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("require_keys", [True, False])
async def test_a_revoked_key_is_401_at_once(serve: Serve, require_keys: bool) -> None:
    async with serve(require_keys=require_keys) as client:
        key = await use_key(client)
        assert (await client.get("/images")).status_code == 200
        await keys_of(client).revoke(key.id)
        assert (await client.get("/images")).status_code == 401


async def test_under_v1_a_missing_key_is_in_openai_shape(serve: Serve) -> None:
    async with serve(require_keys=True) as client:
        answer = await client.post("/v1/embeddings", json={"input": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


async def test_where_no_key_is_needed_another_programs_credential_is_none(client: httpx.AsyncClient) -> None:
    """OpenAI's SDK does not start without something to call a key."""
    assert (await client.get("/images", headers={"Authorization": "Bearer none"})).status_code == 200


async def test_a_key_in_an_address_lets_nobody_in(serve: Serve) -> None:
    async with serve(require_keys=True) as client:
        token = (await new_key(client)).token
        answer = await client.get("/model/info", params={"api_key": token, "key": token, "Authorization": token})
    assert answer.status_code == 401


async def test_a_session_is_nobody_where_keys_are_needed(serve: Serve) -> None:
    async with serve() as client:
        await client.post("/generate", json={"prompt": "a red circle", "analyze": False})
        cookies = dict(client.cookies)
    async with serve(require_keys=True) as client:
        client.cookies.update(cookies)
        assert (await client.get("/images")).status_code == 401


async def test_a_key_comes_before_a_session(client: httpx.AsyncClient) -> None:
    await client.post("/generate", json={"prompt": "a red circle", "analyze": False})
    assert len((await client.get("/images")).json()["images"]) == 1
    await use_key(client)
    assert (await client.get("/images")).json()["images"] == []


async def test_a_refused_body_is_not_read(serve: Serve) -> None:
    read: list[int] = []

    async def body() -> "Iterator[bytes]":  # type: ignore[misc]
        while True:
            read.append(1)
            yield b"x" * 1000

    async with serve(require_keys=True) as client:
        answer = await client.post("/generate", content=body())  # type: ignore[arg-type]
    assert (answer.status_code, answer.headers["Connection"], read) == (401, "close", [])


async def test_no_log_line_has_a_key(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    async with serve(require_keys=True) as client:
        key = await new_key(client)
        with structlog.testing.capture_logs() as lines:
            await client.get("/images", headers=bearer(key), params={"search": key.token})
            await client.get("/images", headers={"Authorization": f"Bearer {WRONG}"})
            await client.get("/images", headers={"Authorization": key.token})
    assert len(lines) >= 3
    written = json.dumps([{name: str(value) for name, value in line.items()} for line in lines])
    assert key.token not in written + capsys.readouterr().out
    assert WRONG not in written


async def test_the_database_down_is_503_and_the_health_is_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(require_keys=True) as client:
        await use_key(client)
        database = keys_of(client)._database

        def locked() -> None:
            from modelcore.errors import Unavailable

            raise Unavailable("the database does not answer at the moment", retry_after_s=2)

        monkeypatch.setattr(database, "reading", locked)
        refused, live = await client.get("/images"), await client.get("/health/live")
    assert (refused.status_code, refused.headers["Retry-After"], live.status_code) == (503, "2", 200)


def test_the_open_paths_are_named_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
    ours = [path for path in (*OPEN_PATHS, *OPEN_FOLDERS) if not path.startswith("/api")]
    assert [path for path in ours if f"`{path}" not in page] == []
