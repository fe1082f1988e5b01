"""Names, addresses and origins as settings write them: each said in full, and no wildcard anywhere."""

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:]+:[0-9A-Fa-f:.]*")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split_at_commas(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _only_plain_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"not an origin such as https://example.org: {origin!r}; '*' is not allowed")
    return origins


def _only_plain_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        if not _HOST_NAME.fullmatch(host):
            raise ValueError(f"not a host name or address without a port: {host!r}; '*' is not allowed")
    return hosts


Origins = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_split_at_commas),
    AfterValidator(_only_plain_origins),
]


Hosts = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_split_at_commas),
    AfterValidator(_only_plain_hosts),
]
