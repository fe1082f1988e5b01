"""Brings a database to the schema that this version of the code needs. Called once, before anything else is asked."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from modelcore.errors import SetupProblem
from orchestrator.storage.database import Database
from orchestrator.storage.dialects import Turn, take_turn

MIGRATIONS = Path(__file__).parent / "migrations"


async def migrate(database: Database) -> None:
    """All or nothing, and one process at a time: whoever comes second finds it done."""
    async with database.writing() as connection:
        await take_turn(connection, Turn.MIGRATION)
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SetupProblem(f"the database was made by a newer version of Triptych than this one: {error}") from error
