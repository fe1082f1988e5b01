"""`triptych keys`: who may use this Triptych over a network. docs/access.md has the whole of it."""

import argparse
import asyncio
import datetime
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modelcore.errors import InvalidInput, NotFound, SetupProblem, Unavailable
from triptych.environment import read_settings

if TYPE_CHECKING:
    from orchestrator.keys.service import ApiKey, Keys

HELP = "create, list and revoke API keys"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="as given to `triptych up` (default: TRIPTYCH_STATE_FOLDER, .triptych)",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a key; it is shown once, and kept only as a hash")
    create.add_argument("name", help="whose it is, or what for")
    create.add_argument(
        "--scope",
        action="append",
        choices=("read", "create", "admin"),
        help="what it may do; may be given several times (default: read and create)",
    )
    create.add_argument("--requests-per-minute", type=int, metavar="N", help="default: no limit")
    create.add_argument("--cost-per-day", type=int, metavar="N", help="of pixels x steps x pictures; default: no limit")
    actions.add_parser("list", help="every key ever made, without the keys themselves")
    revoke = actions.add_parser("revoke", help="turn a key away from now on; its pictures stay")
    revoke.add_argument("key", help="its id or its prefix, as `list` shows them")


def run(arguments: argparse.Namespace) -> int:
    action: Callable[[Keys, argparse.Namespace], Awaitable[None]]
    action = {"create": create, "list": show, "revoke": revoke}[arguments.action]
    try:
        asyncio.run(with_keys(arguments, action))
    except (InvalidInput, NotFound, Unavailable) as error:
        raise SetupProblem(error.detail) from error
    return 0


async def with_keys(
    arguments: argparse.Namespace, action: "Callable[[Keys, argparse.Namespace], Awaitable[None]]"
) -> None:
    # Only now: the database takes a second to import, which `triptych --help` need not pay.
    from orchestrator.keys.door import describe_door
    from orchestrator.keys.service import Keys
    from orchestrator.lasting import places_of
    from orchestrator.storage.database import Database
    from orchestrator.storage.schema import migrate

    settings = read_settings(arguments.state)
    database = Database(places_of(settings).database_url)
    try:
        await migrate(database)
        keys = Keys(database)
        await action(keys, arguments)
        # Beside the answer, not in it: a script takes standard output.
        sys.stderr.write(f"{describe_door(settings, await keys.count_valid())}\n")
    finally:
        await database.close()


async def create(keys: "Keys", arguments: argparse.Namespace) -> None:
    scopes = arguments.scope or ("read", "create")
    new = await keys.create(arguments.name, scopes, arguments.requests_per_minute, arguments.cost_per_day)
    # Alone on standard output, so that a script can take it.
    sys.stdout.write(f"{new.token}\n")
    sys.stderr.write(f"Key {new.key.id} may {', '.join(new.key.scopes)}. It is not shown again.\n")


async def show(keys: "Keys", _arguments: argparse.Namespace) -> None:
    for key in await keys.list():
        sys.stdout.write(f"{describe(key)}\n")


async def revoke(keys: "Keys", arguments: argparse.Namespace) -> None:
    key = await keys.revoke(arguments.key)
    sys.stdout.write(f"{describe(key)}\n")


def describe(key: "ApiKey") -> str:
    state = f"revoked {day(key.revoked_at_ms)}" if key.revoked_at_ms else "valid"
    used = f"last used {day(key.last_used_at_ms)}" if key.last_used_at_ms else "never used"
    return f"{key.id}  {key.prefix}...  {key.name}  {','.join(key.scopes)}  {limits(key)}  {state}, {used}"


def limits(key: "ApiKey") -> str:
    found = []
    if key.requests_per_minute is not None:
        found.append(f"{key.requests_per_minute} requests/minute")
    if key.cost_per_day is not None:
        found.append(f"{key.cost_per_day} cost/day")
    return ", ".join(found) or "no limits"


def day(time_ms: int) -> str:
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).strftime("%Y-%m-%d")
