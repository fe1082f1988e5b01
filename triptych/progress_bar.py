"""How far a picture is: one line that lives on a terminal, and nothing at all anywhere else."""

import shutil
from typing import TextIO

_CELLS = 24


class ProgressBar:
    """Of several pictures the one that was heard of last is shown."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_live = stream.isatty()

    def show(self, *, step: int, steps: int, eta_s: float, picture: str = "") -> None:
        filled = _CELLS * step // max(steps, 1)
        bar = "#" * filled + "-" * (_CELLS - filled)
        self._draw(f"[{bar}] {step}/{steps}{picture}  {eta_s:.1f} s left")

    def clear(self) -> None:
        self._draw("")

    def _draw(self, text: str) -> None:
        if self._is_live:
            self._stream.write(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}")
            self._stream.flush()
