"""However many ask whether the models are ready, Triton is asked by one at a time."""

import asyncio
from typing import cast

from modelcore.catalog import CATALOG
from orchestrator.health.service import Health
from orchestrator.triton import Triton

MODEL = CATALOG[0]


class SlowTriton:
    """Has no model ready, and takes a turn of the event loop to say so."""

    def __init__(self) -> None:
        self.calls = 0

    async def is_model_ready(self, name: str, *, deadline_s: float) -> bool:
        self.calls += 1
        await asyncio.sleep(0)
        return False


class NoPatients:
    def ailments(self) -> dict[str, str]:
        return {}


def health_of(triton: SlowTriton) -> Health:
    return Health(cast(Triton, triton), [MODEL], NoPatients(), deadline_s=1.0)


async def test_a_crowd_shares_two_rounds() -> None:
    triton = SlowTriton()
    health = health_of(triton)
    await asyncio.gather(*(health.check() for _ in range(20)))
    assert triton.calls == 2  # of the first one, and of all who came while it was under way


async def test_who_asks_later_is_told_what_is_so_then() -> None:
    triton = SlowTriton()
    health = health_of(triton)
    await health.check()
    await health.check()
    assert triton.calls == 2


async def test_who_leaves_takes_nobodys_answer_along() -> None:
    health = health_of(SlowTriton())
    leaving, staying = asyncio.create_task(health.check()), asyncio.create_task(health.check())
    await asyncio.sleep(0)
    leaving.cancel()
    assert [model.name for model in await staying] == [MODEL.name]
