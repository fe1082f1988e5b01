"""API keys on both databases, and the command that makes them."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from modelcore.errors import InvalidInput, NotFound
from orchestrator.keys.service import Keys
from orchestrator.storage.database import Database
from orchestrator.storage.tables import ApiKeyRow


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database)


async def test_a_key_lets_its_holder_in(keys: Keys) -> None:
    new = await keys.create("Ada", ["create", "read"], requests_per_minute=60, cost_per_day=10**12)
    found = await keys.authenticate(new.token)
    assert found is not None
    assert (found.id, found.name, found.scopes) == (new.key.id, "Ada", ("read", "create"))
    assert (found.requests_per_minute, found.cost_per_day, found.owner) == (60, 10**12, f"key:{found.id}")


async def test_only_a_hash_is_kept(keys: Keys, database: Database) -> None:
    new = await keys.create("Ada")
    async with database.reading() as connection:
        row = (await connection.execute(select(ApiKeyRow))).one()
    assert row.secret_sha256 == hashlib.sha256(new.token.encode()).hexdigest()
    assert not any(new.token in str(value) for value in row)
    assert row.prefix == new.token[:11]


async def test_every_key_has_256_bits_of_its_own(keys: Keys) -> None:
    tokens = {(await keys.create("Ada")).token for _ in range(5)}
    assert len(tokens) == 5
    assert {len(token) for token in tokens} == {len("tt_") + 43}  # 43 characters of 6 bits hold 256


@pytest.mark.parametrize("token", ["", "tt_", "tt_" + "x" * 43, "tt_" + "x" * 42 + "\n", "é" * 46, "x" * 10_000])
async def test_what_is_no_key_lets_nobody_in(keys: Keys, token: str) -> None:
    await keys.create("Ada")
    assert await keys.authenticate(token) is None


async def test_a_revoked_key_lets_nobody_in_and_stays_on_the_list(keys: Keys) -> None:
    new, other = await keys.create("Ada"), await keys.create("Grace")
    revoked = await keys.revoke(new.key.prefix)
    assert await keys.authenticate(new.token) is None
    assert await keys.authenticate(other.token) is not None
    assert await keys.revoke(new.key.id) == revoked
    assert [key.revoked_at_ms is None for key in await keys.list()] == [False, True]


async def test_what_is_no_key_cannot_be_revoked(keys: Keys) -> None:
    with pytest.raises(NotFound):
        await keys.revoke("tt_nothing")


async def test_how_many_keys_are_valid(keys: Keys) -> None:
    assert await keys.count_valid() == 0
    new, _ = await keys.create("Ada"), await keys.create("Grace")
    assert await keys.count_valid() == 2
    await keys.revoke(new.key.id)
    assert await keys.count_valid() == 1


async def test_a_use_is_noted(keys: Keys) -> None:
    new = await keys.create("Ada")
    assert (await keys.list())[0].last_used_at_ms is None
    await keys.authenticate(new.token)
    first = (await keys.list())[0].last_used_at_ms
    await keys.authenticate(new.token)
    assert first is not None
    assert (await keys.list())[0].last_used_at_ms == first  # once a minute is often enough


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 81},
        {"name": "a\nb"},
        {"scopes": []},
        {"scopes": ["root"]},
        {"requests_per_minute": 0},
        {"cost_per_day": -1},
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(keys: Keys, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        await keys.create(**({"name": "Ada"} | wrong))  # type: ignore[arg-type]


def triptych_keys(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "triptych", "keys", f"--state={state}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_the_command_makes_a_key_that_works_lists_and_revokes_it(tmp_path: Path) -> None:
    created = triptych_keys(tmp_path, "create", "Ada", "--scope=read", "--requests-per-minute=5")
    token = created.stdout.strip()
    database = Database(f"sqlite:///{tmp_path}/triptych.db")
    key = await Keys(database).authenticate(token)
    assert key is not None
    assert (key.scopes, key.requests_per_minute) == (("read",), 5)
    listed = triptych_keys(tmp_path, "list").stdout
    assert f"{token[:11]}...  Ada  read  5 requests/minute  valid" in listed
    assert token not in listed
    assert "revoked" in triptych_keys(tmp_path, "revoke", token[:11]).stdout
    assert await Keys(database).authenticate(token) is None
    await database.close()


def test_what_the_command_cannot_do_is_one_line(tmp_path: Path) -> None:
    refused = triptych_keys(tmp_path, "revoke", "nothing")
    assert (refused.returncode, refused.stderr) == (1, "triptych: 0 keys have this id or prefix: 'nothing'\n")
