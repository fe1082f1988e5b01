"""What a route asks of the API key that a request comes with: declared beside the route, checked in one place.

    @router.get("/images")
    @needs("read")
    async def list_images(...)

A caller without a key has come through a door that is open to everybody (see access.py), and may do everything.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from starlette.requests import Request

from modelcore.errors import NotAllowed
from orchestrator.edge.caller import key_of

KeyScope = Literal["read", "create", "admin"]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
_NEEDED = "needed_key_scope"


def needs(key_scope: KeyScope) -> Callable[[Endpoint], Endpoint]:
    """read: to look. create: to leave something behind, or take it away. admin: what concerns everybody."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _NEEDED, key_scope)
        return endpoint

    return declare


def declared_scope(endpoint: object) -> KeyScope | None:
    declared: KeyScope | None = getattr(endpoint, _NEEDED, None)
    return declared


async def check_scope(request: Request) -> None:
    """A dependency of the whole app: what runs is what is checked, however its address was found."""
    # Who forgot to say has not opened it to everybody.
    check_key_may(request, declared_scope(request.scope["endpoint"]) or "admin")


def check_key_may(request: Request, needed: KeyScope) -> None:
    """For what a route needs only when it is asked in a certain way."""
    key = key_of(request.scope)
    if key is not None and needed not in key.scopes:
        raise NotAllowed(f"this key does not have the scope {needed}; it has: {', '.join(key.scopes)}")
