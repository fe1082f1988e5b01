"""Serve: python -m orchestrator. Settings come from the environment; see docs/settings.md."""

import asyncio
import sys

import uvicorn
from pydantic import ValidationError

from modelcore.errors import SetupProblem
from orchestrator.app import create_app
from orchestrator.edge.connection import ConnectionRules, bounded_connections
from orchestrator.keys.door import check_door
from orchestrator.logs import configure_logging
from orchestrator.settings import PREFIX, Settings


def main() -> int:
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
    uvicorn.run(
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
    return 0


def _lines(error: ValidationError) -> list[str]:
    """One line per wrong setting, under the name it has in the environment."""
    return [f"{_variable(item['loc'])}{item['msg'].removeprefix('Value error, ')}\n" for item in error.errors()]


def _variable(location: tuple[int | str, ...]) -> str:
    return f"{PREFIX}{str(location[0]).upper()}: " if location else ""


if __name__ == "__main__":
    raise SystemExit(main())
