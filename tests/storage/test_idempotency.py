"""Idempotency keys of requests that are answered at once, on both databases."""

import asyncio
import dataclasses

import pytest

from modelcore.errors import Conflict, InvalidInput
from orchestrator.jobs.idempotency import (
    Begun,
    Idempotency,
    IdempotencyKey,
    StoredAnswer,
    forget_old_records,
    record_answer,
)
from orchestrator.storage.database import Database

ME = "key:me"
KEY = IdempotencyKey("a key of mine", "0" * 64)
DAY_S = 24 * 3600.0
HOLD_S = 300.0


@pytest.fixture
def idempotency(database: Database) -> Idempotency:
    return Idempotency(database, kept_s=DAY_S, hold_s=HOLD_S)


async def finish(database: Database, started: Begun, status: int, body: bytes) -> bool:
    async with database.writing() as connection:
        return await record_answer(connection, ME, KEY, started, status, body)


async def begun(idempotency: Idempotency) -> Begun:
    started = await idempotency.begin(ME, KEY)
    assert isinstance(started, Begun)
    return started


async def test_of_many_at_once_one_begins_and_the_others_are_told_to_wait(idempotency: Idempotency) -> None:
    results = await asyncio.gather(*(idempotency.begin(ME, KEY) for _ in range(20)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Begun", *["Conflict"] * 19]


@pytest.mark.parametrize("status", [200, 201])
async def test_the_answer_is_given_again_word_for_word(
    database: Database, idempotency: Idempotency, status: int
) -> None:
    await finish(database, await begun(idempotency), status, b'{"a":\n1}')
    assert await idempotency.begin(ME, KEY) == StoredAnswer(status, b'{"a":\n1}')


@pytest.mark.parametrize("status", [404, 422])
async def test_what_is_wrong_with_the_request_is_told_again(idempotency: Idempotency, status: int) -> None:
    await idempotency.give_up(ME, KEY, await begun(idempotency), status, b"{}")
    assert await idempotency.begin(ME, KEY) == StoredAnswer(status, b"{}")


async def test_what_was_recorded_stays_whatever_fails_after_it(database: Database, idempotency: Idempotency) -> None:
    started = await begun(idempotency)
    await finish(database, started, 200, b"{}")
    await idempotency.give_up(ME, KEY, started, 503, b"")
    assert await idempotency.begin(ME, KEY) == StoredAnswer(200, b"{}")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_answer_that_asks_to_try_again_releases_the_key(idempotency: Idempotency, status: int) -> None:
    await idempotency.give_up(ME, KEY, await begun(idempotency), status, b"{}")
    await begun(idempotency)


async def test_another_request_under_the_key_is_refused_also_while_it_is_in_progress(
    database: Database, idempotency: Idempotency
) -> None:
    other = dataclasses.replace(KEY, request_sha256="1" * 64)
    started = await begun(idempotency)
    with pytest.raises(InvalidInput):
        await idempotency.begin(ME, other)
    await finish(database, started, 200, b"{}")
    with pytest.raises(InvalidInput):
        await idempotency.begin(ME, other)


async def test_a_request_that_died_gives_its_key_up_after_the_hold(database: Database) -> None:
    died = await begun(Idempotency(database, DAY_S, hold_s=-1.0))
    patient = Idempotency(database, DAY_S, HOLD_S)
    alive = await begun(patient)
    assert not await finish(database, died, 200, b"from the dead")
    with pytest.raises(Conflict):
        await patient.begin(ME, KEY)
    await finish(database, alive, 200, b"from the living")
    assert await patient.begin(ME, KEY) == StoredAnswer(200, b"from the living")


async def test_old_records_are_forgotten_and_others_kept(database: Database, idempotency: Idempotency) -> None:
    await finish(database, await begun(idempotency), 200, b"{}")
    async with database.writing() as connection:
        assert await forget_old_records(connection, DAY_S) == 0
        assert await forget_old_records(connection, -1.0) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", "a\nb"])
def test_a_key_is_1_to_255_printable_characters(key: str) -> None:
    with pytest.raises(InvalidInput):
        IdempotencyKey(key, "0" * 64)
