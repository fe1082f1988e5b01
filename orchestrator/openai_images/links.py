"""Addresses of pictures that open for whoever has them, for a while: a client fetches a `url` without its key.

Why they are kept in memory: docs/decisions/0008. Knows no HTTP.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from modelcore.errors import NotFound

LASTS_S = 3600  # as OpenAI's
MOST_LINKS = 10_000


@dataclass(frozen=True)
class Link:
    owner: str
    image_id: str
    expires_at_s: float


class Links:
    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._links: OrderedDict[str, Link] = OrderedDict()  # the oldest first, since all last equally long

    def make(self, owner: str, image_id: str) -> str:
        """A token that nobody guesses and that says nothing."""
        self._drop_old()
        token = secrets.token_urlsafe(32)
        self._links[token] = Link(owner, image_id, self._now_s() + LASTS_S)
        return token

    def follow(self, token: str) -> Link:
        link = self._links.get(token)
        if link is None or link.expires_at_s <= self._now_s():
            raise NotFound("this link leads nowhere, or no longer")
        return link

    def _drop_old(self) -> None:
        """Room for one more. Each stands for a picture that was painted, so nobody crowds out others cheaply."""
        while self._links:
            oldest = next(iter(self._links.values()))
            if len(self._links) < MOST_LINKS and oldest.expires_at_s > self._now_s():
                return
            self._links.popitem(last=False)
