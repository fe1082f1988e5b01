"""Pictures are made once, however many ask at once, and kept within the limit."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from modelcore.vision.embedding_cache import CacheCounts, EmbeddingCache


@dataclass
class Thing:
    nbytes: int


def test_what_was_made_is_kept() -> None:
    cache: EmbeddingCache[Thing] = EmbeddingCache(100)
    first = cache.get("a", lambda: Thing(10))
    assert cache.get("a", lambda: Thing(10)) is first
    assert cache.counts() == CacheCounts(hits=1, misses=1, nbytes=10)


def test_the_least_recently_used_goes_first() -> None:
    cache: EmbeddingCache[Thing] = EmbeddingCache(100)
    kept = [cache.get(key, lambda: Thing(40)) for key in "ab"]
    cache.get("a", lambda: Thing(40))
    cache.get("c", lambda: Thing(40))
    assert cache.get("a", lambda: Thing(40)) is kept[0]
    assert cache.get("b", lambda: Thing(40)) is not kept[1]


def test_bytes_stay_within_the_limit() -> None:
    cache: EmbeddingCache[Thing] = EmbeddingCache(100)
    for number in range(20):
        cache.get(number, lambda: Thing(33))
        assert cache.counts().nbytes <= 100


def test_what_is_larger_than_the_limit_drives_nothing_out() -> None:
    cache: EmbeddingCache[Thing] = EmbeddingCache(100)
    cache.get("a", lambda: Thing(60))
    assert cache.get("b", lambda: Thing(101)).nbytes == 101
    assert cache.counts().nbytes == 60


def test_many_who_ask_at_once_share_one_making() -> None:
    cache: EmbeddingCache[Thing] = EmbeddingCache(100)
    has_begun, may_end = threading.Event(), threading.Event()

    def make() -> Thing:
        has_begun.set()
        assert may_end.wait(10)
        return Thing(1)

    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(cache.get, "a", make)
        assert has_begun.wait(10)
        others = [threads.submit(cache.get, "a", make) for _ in range(7)]
        may_end.set()
        assert all(other.result() is first.result() for other in others)
    assert cache.counts() == CacheCounts(hits=7, misses=1, nbytes=1)


def test_a_making_that_fails_is_tried_again() -> None:
    cache: EmbeddingCache[Thing] = EmbeddingCache(100)

    def fail() -> Thing:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get("a", fail)
    assert cache.get("a", lambda: Thing(5)).nbytes == 5


def test_keys_apart_do_not_wait_for_each_other() -> None:
    cache: EmbeddingCache[Thing] = EmbeddingCache(100)
    may_end = threading.Event()

    def wait() -> Thing:
        assert may_end.wait(10)
        return Thing(1)

    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(cache.get, "slow", wait)
        assert cache.get("quick", lambda: Thing(2)).nbytes == 2
        may_end.set()
        assert slow.result().nbytes == 1
