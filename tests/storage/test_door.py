"""Whether Triptych may listen where others can reach it."""

from pathlib import Path
from typing import Any

import pytest

from modelcore.errors import SetupProblem
from orchestrator.keys.door import check_door, count_valid_keys, describe_door
from orchestrator.keys.service import Keys
from orchestrator.settings import Settings
from orchestrator.storage.database import Database
from triptych.commands import doctor


async def keys_in(folder: Path, *, revoked: bool = False) -> None:
    database = Database(f"sqlite:///{folder}/triptych.db")
    new = await Keys(database).create("Ada")
    if revoked:
        await Keys(database).revoke(new.key.id)
    await database.close()


def settings(folder: Path, **given: Any) -> Settings:
    return Settings(**{"host": "0.0.0.0", "state_folder": folder} | given)


async def test_it_stays_shut_while_there_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match="`triptych keys create NAME`"):
        await check_door(settings(tmp_path))


async def test_it_opens_once_there_is_one(tmp_path: Path) -> None:
    await count_valid_keys(settings(tmp_path))
    await keys_in(tmp_path)
    await check_door(settings(tmp_path))


async def test_a_revoked_key_opens_nothing(tmp_path: Path) -> None:
    await count_valid_keys(settings(tmp_path))
    await keys_in(tmp_path, revoked=True)
    with pytest.raises(SetupProblem):
        await check_door(settings(tmp_path))


@pytest.mark.parametrize("given", [{"host": "127.0.0.1"}, {"allow_unauthenticated_network": True}])
async def test_a_private_address_is_open_without_a_look_at_the_database(tmp_path: Path, given: dict[str, Any]) -> None:
    await check_door(settings(tmp_path, database_url="postgresql://127.0.0.1:1/none", **given))


async def test_a_database_that_is_down_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match="the database does not answer"):
        await check_door(settings(tmp_path, database_url="postgresql://127.0.0.1:1/none"))


def test_what_is_in_force_is_one_line(tmp_path: Path) -> None:
    assert describe_door(settings(tmp_path), 2) == "0.0.0.0 asks for an API key; valid ones: 2"
    assert "asks for no API key" in describe_door(settings(tmp_path, host="127.0.0.1"), 0)


def test_doctor_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_STATE_FOLDER", str(tmp_path))
    assert doctor.access() == "127.0.0.1 asks for no API key: whoever reaches it may do everything; valid keys: 0"
    monkeypatch.setenv("TRIPTYCH_HOST", "0.0.0.0")
    with pytest.raises(SetupProblem, match=r"refusing to listen on 0\.0\.0\.0"):
        doctor.access()
