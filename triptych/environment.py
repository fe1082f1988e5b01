"""The orchestrator's settings for a command that is not the orchestrator."""

from pathlib import Path

from pydantic import ValidationError

from modelcore.errors import SetupProblem
from orchestrator.settings import PREFIX, Settings
from triptych.project import STATE


def read_settings(state: Path | None) -> Settings:
    """From the environment; the state folder is the one given, or the clone's where the environment names none."""
    given: dict[str, object] = {"state_folder": state} if state else {}
    try:
        settings = Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{PREFIX}{'_'.join(map(str, first['loc'])).upper()}: " if first["loc"] else ""
        raise SetupProblem(f"{name}{first['msg'].removeprefix('Value error, ')}") from error
    return (
        settings if "state_folder" in settings.model_fields_set else settings.model_copy(update={"state_folder": STATE})
    )
