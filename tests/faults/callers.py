"""Clients as they should be: a key for each wish, the same request again when no answer came, patience when told so."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

ANSWER_TIMEOUT_S = 60.0
PAUSE_WITHOUT_ANSWER_S = 0.1
CANCELLED_SHARE = 0.1
LONGEST_WAIT_BEFORE_CANCELLING = 12  # in jobs of the same caller
COLOURS = ("red", "green", "blue", "yellow")


@dataclass
class Heard:
    """All answers that any client has had."""

    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    unanswered: int = 0
    times_s: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, answer: httpx.Response) -> None:
        with self._lock:
            self.statuses[answer.status_code] += 1
            self.times_s.append(time.monotonic())
            if answer.status_code in (429, 503) and int(answer.headers.get("Retry-After", 0)) < 1:
                self.without_retry_after += 1

    def note_silence(self) -> None:
        with self._lock:
            self.unanswered += 1

    @property
    def longest_gap_s(self) -> float:
        return max((after - before for before, after in zip(self.times_s, self.times_s[1:], strict=False)), default=0.0)


@dataclass
class Wish:
    """What one key was for, and every job id and every end that was told under it."""

    key: str
    request: dict[str, Any]
    job_ids: set[str] = field(default_factory=set)
    ends_told: set[str] = field(default_factory=set)

    @property
    def job_id(self) -> str:
        (job_id,) = self.job_ids
        return job_id


class Caller(threading.Thread):
    """One session: submits its wishes one after another and cancels a few of them, a while later."""

    def __init__(self, url: str, count: int, seed: str, heard: Heard, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self._chance = random.Random(seed)
        cookies = {"triptych_session": f"{self._chance.getrandbits(128):032x}"}
        self._client = httpx.Client(base_url=url, cookies=cookies, timeout=ANSWER_TIMEOUT_S)
        self._heard = heard
        self._stopping = stopping
        self.wishes = [self._new_wish() for _ in range(count)]
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with self._client:
                self._submit_all()
        except BaseException as error:
            self.failure = error

    def _new_wish(self) -> Wish:
        chance = self._chance
        request = {
            "prompt": f"a {chance.choice(COLOURS)} circle",
            "seed": chance.randrange(2**31),
            "width": 64,
            "height": 64,
            "steps": chance.randint(2, 4),
            "num_images": 1 + (chance.random() < 0.1),
            "analyze": False,
        }
        return Wish(str(uuid.UUID(int=chance.getrandbits(128))), request)

    def _submit_all(self) -> None:
        to_cancel: dict[int, list[Wish]] = {}
        for number, wish in enumerate(self.wishes):
            self._submit(wish)
            if self._chance.random() < CANCELLED_SHARE:
                due = number + self._chance.randrange(LONGEST_WAIT_BEFORE_CANCELLING)
                to_cancel.setdefault(due, []).append(wish)
            for late in to_cancel.pop(number, []):
                self._cancel(late)
        for late in (wish for wishes in to_cancel.values() for wish in wishes):
            self._cancel(late)

    def _submit(self, wish: Wish) -> None:
        body = {"kind": "generate", "request": wish.request}
        answer = self._answer("POST", "/jobs", json=body, headers={"Idempotency-Key": wish.key})
        assert answer.status_code == 202, answer.text
        wish.job_ids.add(answer.json()["id"])
        if self._chance.random() < 0.1:  # and once more, as if the answer had been lost
            wish.job_ids.add(
                self._answer("POST", "/jobs", json=body, headers={"Idempotency-Key": wish.key}).json()["id"]
            )

    def _cancel(self, wish: Wish) -> None:
        answer = self._answer("DELETE", f"/jobs/{wish.job_id}")
        assert answer.status_code == 200, answer.text
        wish.ends_told.add(answer.json()["state"])

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        for answer in self._tries(method, path, **request):
            if answer is None:
                self._stopping.wait(PAUSE_WITHOUT_ANSWER_S)
            elif answer.status_code in (429, 503):
                self._stopping.wait(float(answer.headers.get("Retry-After", 1)))
            else:
                return answer
        raise AssertionError("the storm was over before the client was answered")

    def _tries(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response | None]:
        while not self._stopping.is_set():
            try:
                answer = self._client.request(method, path, **request)
            except httpx.TransportError:
                self._heard.note_silence()
                yield None
            else:
                self._heard.note(answer)
                yield answer


class Watcher(threading.Thread):
    """Asks ten times a second, so that the time without answers can be told."""

    def __init__(self, url: str, heard: Heard, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self._client = httpx.Client(base_url=url, timeout=ANSWER_TIMEOUT_S)
        self._heard = heard
        self._stopping = stopping

    def run(self) -> None:
        with self._client:
            while not self._stopping.wait(0.1):
                try:
                    self._heard.note(self._client.get("/jobs"))
                except httpx.TransportError:
                    self._heard.note_silence()
