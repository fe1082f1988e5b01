"""Is it up, what has it loaded, and if not, why: from tritonserver's log and its repository index.

While models load, tritonserver answers nobody; its log is then the only source. Once it answers, its index is.
"""

import http.client
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from embedded import repository
from embedded.options import TritonOptions

REQUEST_TIMEOUT_S = 2.0
_LOADED = re.compile(r"\"?successfully loaded '(?P<model>[^']+)'")
_FAILED = re.compile(r"\"?failed to load '(?P<model>[^']+)' version \d+: (?P<reason>.*?)\"?$")
_UNREADABLE = re.compile(r"\"Poll failed for model directory '(?P<model>[^']+)': (?P<reason>.*?)\"?$")
_ERROR_LINE = re.compile(r"^(?:E\d{4} |\S+ E |error: |Error: |\S*tritonserver: )", re.IGNORECASE)
_STATUS_CODES = re.compile(r"^(?:Internal|Invalid argument|Unavailable|Not found|Unsupported|Already exists|Unknown): ")


@dataclass(frozen=True)
class Loaded:
    model: str


@dataclass(frozen=True)
class Failed:
    model: str
    reason: str


class LogReader:
    """Reads what tritonserver adds to its log, from the log's present end onwards."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb")
        self._file.seek(0, 2)
        self._partial = b""
        self._last_error = ""

    def events(self) -> list[Loaded | Failed]:
        lines = (self._partial + self._file.read()).split(b"\n")
        self._partial = lines.pop()
        found = [self._event(line.decode(errors="replace")) for line in lines]
        return [event for event in found if event is not None]

    @property
    def last_error(self) -> str:
        """The last line that says what went wrong, for when the server ends without a word to us."""
        return self._last_error

    def close(self) -> None:
        self._file.close()

    def _event(self, line: str) -> Loaded | Failed | None:
        if _ERROR_LINE.match(line):
            self._last_error = line.strip()
        if (loaded := _LOADED.search(line)) is not None:
            return Loaded(loaded["model"])
        if (failed := _FAILED.search(line) or _UNREADABLE.search(line)) is not None:
            return Failed(failed["model"], plain_reason(failed["reason"]))
        return None


def plain_reason(text: str) -> str:
    """The one line of a load failure that helps: without Triton's status word, Python's class and the traceback."""
    lines = [line.strip() for line in text.replace("\\n", "\n").splitlines() if line.strip()]
    for line in lines:
        # Python's own last line reads "SomeError: message"; the traceback follows under "At:".
        stripped = _STATUS_CODES.sub("", line)
        if stripped:
            return stripped.removeprefix("TritonModelException: ")
    return text


def is_up(options: TritonOptions) -> bool:
    """Whether the server answers and says it is ready."""
    try:
        status, _ = _request(options, "GET", "/v2/health/ready")
    except (OSError, http.client.HTTPException):
        return False
    return status == 200


def failed_models(options: TritonOptions) -> list[Failed]:
    """The models that should be served and are not in any version."""
    index, ready = _index(options), set(ready_models(options))
    reasons = {entry["name"]: entry.get("reason", "") for entry in index}
    # Not by the index: it lists folders that are no models, and forgets models without a version.
    wanted = options.models or repository.models(options.repositories)
    return [
        Failed(name, plain_reason(reasons.get(name) or _why_not_loaded(name, options)))
        for name in sorted(wanted)
        if name not in ready
    ]


def is_wanted(model: str, options: TritonOptions) -> bool:
    """Whether it is to be loaded. Triton's log speaks of every folder of the repository, models or not."""
    return model in (options.models or repository.models(options.repositories))


def _why_not_loaded(model: str, options: TritonOptions) -> str:
    folder = repository.models(options.repositories).get(model)
    if folder is not None and not repository.versions(folder):
        return "it has no version: a folder with a number, such as 1, with the model's file in it"
    return "it is not loaded"


def ready_models(options: TritonOptions) -> list[str]:
    return sorted({entry["name"] for entry in _index(options) if entry.get("state") == "READY"})


def _index(options: TritonOptions) -> Sequence[dict[str, str]]:
    _, body = _request(options, "POST", "/v2/repository/index")
    entries: Sequence[dict[str, str]] = json.loads(body)
    return entries


def _request(options: TritonOptions, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(options.local_address, options.http_port, timeout=REQUEST_TIMEOUT_S)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
