"""tritonserver's log, kept within bounds while tritonserver writes to it.

tritonserver holds the file open and cannot be told to open another, so the file is emptied under it; opened for
appending, its next line lands at the new start. Nobody stands between the two that could block the server.
"""

import os
from pathlib import Path

LIMIT_BYTES = 10 * 1024 * 1024


def trim(log: Path, limit_bytes: int = LIMIT_BYTES) -> None:
    """Move the end of a log that has grown too long to `<log>.1`. A line written just then may be lost."""
    if not log.exists() or log.stat().st_size <= limit_bytes:
        return
    with log.open("rb") as file:
        file.seek(-limit_bytes, os.SEEK_END)
        log.with_name(f"{log.name}.1").write_bytes(file.read(limit_bytes))
    os.truncate(log, 0)
