"""How far an export is: one line that lives on a terminal, plain lines anywhere else."""

import shutil
import threading
import time
from types import TracebackType
from typing import Self, TextIO

_REFRESH_S = 0.5
_BAR_CELLS = 20


class Progress:
    """Counts models; each has a name and a stage. Time is told while a stage runs, for some run for minutes."""

    def __init__(self, family: str, total: int, stream: TextIO) -> None:
        self._family, self._total, self._stream = family, total, stream
        self._is_live = False
        self._started_s = time.monotonic()
        self._done = 0
        self._now = ""
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._ticker = threading.Thread(target=self._tick, name="export progress", daemon=True)

    def __enter__(self) -> Self:
        """Until here the terminal is left to others: downloads have bars of their own."""
        self._is_live = self._stream.isatty()
        if self._is_live:
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._is_live:
            self._ticker.join()
            self._write("\r\033[K")

    def stage(self, model: str, stage: str) -> None:
        with self._lock:
            self._now = f"{model}: {stage}"
        if self._is_live:
            self._draw()
        else:
            self._line(self._now)

    def done(self, model: str, summary: str) -> None:
        with self._lock:
            self._done += 1
        self._line(f"{model}: {summary}")

    def _tick(self) -> None:
        while not self._ended.wait(_REFRESH_S):
            self._draw()

    def _draw(self) -> None:
        with self._lock:
            filled = _BAR_CELLS * self._done // self._total
            bar = "#" * filled + "-" * (_BAR_CELLS - filled)
            text = f"[{bar}] {self._done}/{self._total} {self._elapsed_s():5.0f} s  {self._family} {self._now}"
        self._write(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}")

    def _line(self, text: str) -> None:
        clear = "\r\033[K" if self._is_live else ""
        count = f"{self._done}/{self._total}"
        self._write(f"{clear}[{self._elapsed_s():6.1f} s] {count} {self._family} {text}\n")

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started_s

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
