"""Where `triptych up` has the REST service keep what lasts."""

from pathlib import Path

import pytest

from orchestrator.settings import PREFIX, Settings
from triptych.commands.up import rest_environment
from triptych.instance import Instance
from triptych.project import FAMILIES, STATE


def state_folder(settings: Settings, folder: Path) -> str:
    return rest_environment(settings, Instance(folder))[f"{PREFIX}STATE_FOLDER"]


def test_it_is_the_folder_that_up_was_given(tmp_path: Path) -> None:
    assert state_folder(Settings(), tmp_path) == str(tmp_path)


def test_the_environment_names_another_where_up_was_given_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(f"{PREFIX}STATE_FOLDER", str(tmp_path))
    assert state_folder(Settings(), STATE) == str(tmp_path)


def test_what_up_was_given_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(f"{PREFIX}STATE_FOLDER", "/elsewhere")
    assert state_folder(Settings(), tmp_path) == str(tmp_path)


def test_families_are_found_from_any_folder() -> None:
    assert rest_environment(Settings(), Instance(STATE))[f"{PREFIX}FAMILIES_FOLDER"] == str(FAMILIES)
