"""Keys of a served app, made the way that `triptych keys create` makes them."""

from collections.abc import Sequence

import httpx

from orchestrator.keys.service import ApiKey, Keys, NewKey


def keys_of(client: httpx.AsyncClient) -> Keys:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    keys = transport.app.state.services.keys  # type: ignore[attr-defined]
    assert isinstance(keys, Keys)
    return keys


async def new_key(client: httpx.AsyncClient, scopes: Sequence[str] = ("read", "create"), **limits: int) -> NewKey:
    return await keys_of(client).create("Ada", scopes, **limits)


def bearer(key: NewKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.token}"}


async def use_key(client: httpx.AsyncClient, scopes: Sequence[str] = ("read", "create"), **limits: int) -> ApiKey:
    """From now on this client is that key's holder."""
    key = await new_key(client, scopes, **limits)
    client.headers.update(bearer(key))
    return key.key
