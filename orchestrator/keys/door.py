"""Whether Triptych may listen where others can reach it: not before there is a key to let them in with.

Knows no HTTP. The edge asks for the keys; this only keeps the door shut while nobody could have one.
"""

from modelcore.errors import SetupProblem, Unavailable
from orchestrator.keys.service import Keys
from orchestrator.lasting import places_of
from orchestrator.settings import Settings
from orchestrator.storage.database import Database
from orchestrator.storage.schema import migrate

NO_KEY = (
    "refusing to listen on {host}: others could reach it and there is no API key yet. "
    "`triptych keys create NAME` makes one; or use 127.0.0.1"
)


async def check_door(settings: Settings) -> None:
    if not settings.is_private:
        refuse_without_keys(settings, await count_valid_keys(settings))


def refuse_without_keys(settings: Settings, valid_keys: int) -> None:
    if not settings.is_private and not valid_keys:
        raise SetupProblem(NO_KEY.format(host=settings.host))


async def count_valid_keys(settings: Settings) -> int:
    database = Database(places_of(settings).database_url)
    try:
        await migrate(database)
        return await Keys(database).count_valid()
    except Unavailable as error:
        raise SetupProblem("the database does not answer, and the API keys are in it") from error
    finally:
        await database.close()


def describe_door(settings: Settings, valid_keys: int) -> str:
    """What is in force, in one line."""
    if settings.keys_are_needed:
        return f"{settings.host} asks for an API key; valid ones: {valid_keys}"
    return f"{settings.host} asks for no API key: whoever reaches it may do everything; valid keys: {valid_keys}"
