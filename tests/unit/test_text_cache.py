from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from modelcore.diffusion.text_cache import TextCache


@dataclass(frozen=True)
class Kept:
    name: str
    nbytes: int = 10


def never() -> Kept:
    raise AssertionError("it was made again")


def test_what_is_known_is_not_made_again() -> None:
    cache = TextCache[Kept](100)
    made = cache.get("a", lambda: Kept("a"))
    assert cache.get("a", never) is made
    assert (cache.hits, cache.misses) == (1, 1)


def test_the_least_recently_used_goes_first() -> None:
    cache = TextCache[Kept](20)
    for name in ("a", "b", "a", "c"):
        cache.get(name, lambda name=name: Kept(name))  # type: ignore[misc]
    assert cache.get("a", never).name == "a"
    assert cache.get("b", lambda: Kept("b again")).name == "b again"


def test_bytes_stay_within_the_bound() -> None:
    cache = TextCache[Kept](35)
    for number in range(10):
        cache.get(number, lambda: Kept("x"))
    assert cache.nbytes == 30


def test_what_is_too_large_is_handed_on_and_not_kept() -> None:
    cache = TextCache[Kept](35)
    cache.get("small", lambda: Kept("small"))
    assert cache.get("large", lambda: Kept("large", 36)).name == "large"
    assert (cache.nbytes, cache.get("small", never).name) == (10, "small")


def test_what_failed_is_not_kept() -> None:
    cache = TextCache[Kept](100)
    with pytest.raises(AssertionError):
        cache.get("a", never)
    assert cache.get("a", lambda: Kept("a")).name == "a"


def test_threads_share_it() -> None:
    cache = TextCache[Kept](50)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: cache.get(number % 7, lambda: Kept(str(number % 7))), range(700)))
    assert [kept.name for kept in got] == [str(number % 7) for number in range(700)]
    assert (cache.nbytes, cache.hits + cache.misses) == (50, 700)
