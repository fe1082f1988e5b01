"""A model version is made aside and put in place whole: who looks, sees the old one, none, or the new one.

Triton takes for a version only what begins with a digit, so the folders aside begin with a dot.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# What git keeps in a version folder: a python model's shim, and what keeps the folder itself.
_COMMITTED = ("model.py", ".gitkeep")


@contextlib.contextmanager
def only_exporter(repository: Path) -> Iterator[None]:
    """One export at a time writes into a repository; another waits. The lock ends with the process, however it ends."""
    repository.mkdir(parents=True, exist_ok=True)
    folder = os.open(repository, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextlib.contextmanager
def staged(version: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `version` when the block ends without an error."""
    aside, replaced = _aside(version), _replaced(version)
    recover(version)
    aside.mkdir(parents=True)
    try:
        yield aside
        for name in _COMMITTED:
            if (version / name).exists() and not (aside / name).exists():
                shutil.copy2(version / name, aside / name)
    except BaseException:  # Ctrl-C too leaves nothing behind
        shutil.rmtree(aside)
        raise
    if version.exists():
        version.rename(replaced)
    aside.rename(version)
    shutil.rmtree(replaced, ignore_errors=True)


def recover(version: Path) -> None:
    """Undo what a killed export left: an unfinished folder aside, or an old one not yet put back."""
    aside, replaced = _aside(version), _replaced(version)
    if replaced.exists() and not version.exists():
        replaced.rename(version)
    for leftover in (aside, replaced):
        shutil.rmtree(leftover, ignore_errors=True)


def _aside(version: Path) -> Path:
    return version.with_name(f".export-{version.name}")


def _replaced(version: Path) -> Path:
    return version.with_name(f".replaced-{version.name}")
