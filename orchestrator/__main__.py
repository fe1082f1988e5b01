"""Serve: python -m orchestrator. Settings come from the environment; see docs/settings.md."""

import asyncio
import sys
from contextlib import suppress

import uvicorn
from pydantic import ValidationError

from modelcore.errors import SetupProblem
from orchestrator.app import create_app
from orchestrator.edge.connection import ConnectionRules, bounded_connections
from orchestrator.edge.listening import Server
from orchestrator.home.router import pages_of
from orchestrator.keys.door import check_door
from orchestrator.logs import configure_logging
from orchestrator.memory import give_back_large_blocks
from orchestrator.settings import PREFIX, Settings

_NOT_STARTED = 3  # what uvicorn.run says then


def main() -> int:
    give_back_large_blocks()
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.writelines(_lines(error))
        return 2
    try:
        app = create_app(settings)
        asyncio.run(check_door(settings))
    except SetupProblem as problem:
        sys.stderr.write(f"{problem.detail}\n")
        return 2
    configure_logging(settings)
    pages_of(app)  # a quarter of a second, in which whoever asked for one first would hold up everybody
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=bounded_connections(ConnectionRules(settings.connection_limit, settings.head_deadline_s)),
        ws="none",
        log_config=None,  # its loggers go through our pipe
        access_log=False,  # our own line has the route and the request id
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace_s,
    )
    server = Server(config)
    with suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else _NOT_STARTED


def _lines(error: ValidationError) -> list[str]:
    """One line per wrong setting, under the name it has in the environment."""
    return [f"{_variable(item['loc'])}{item['msg'].removeprefix('Value error, ')}\n" for item in error.errors()]


def _variable(location: tuple[int | str, ...]) -> str:
    return f"{PREFIX}{str(location[0]).upper()}: " if location else ""


if __name__ == "__main__":
    raise SystemExit(main())
