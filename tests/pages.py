"""What a page of docs/ shows, run as it stands there: its shell's blocks in order, its Python's as one program."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from tests.triptych_process import PROJECT, Addresses

TIMEOUT_S = 240.0


@dataclass(frozen=True)
class Page:
    name: str

    @property
    def text(self) -> str:
        return (PROJECT / "docs" / self.name).read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        return re.findall(rf"```{language}\n(.*?)```", self.text, re.DOTALL)

    def run_shell(self, triptych: Addresses, folder: Path) -> list[str]:
        """What each block prints. One folder for all, since some read what others wrote."""
        return [_run(["sh", "-euc", _at(block, triptych)], folder) for block in self.blocks("sh")]

    def run_python(self, triptych: Addresses, folder: Path) -> str:
        """What all blocks print: a reader who has run the first goes on with the second."""
        return _run([sys.executable, "-c", _at("\n".join(self.blocks("python")), triptych)], folder)


def documents(printed: str) -> list[Any]:
    """Answers in JSON, as curl prints them: one after the other, with nothing in between."""
    found, rest = [], printed.lstrip()
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        found.append(document)
        rest = rest[end:].lstrip()
    return found


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as opened:
        return opened.size


def _at(code: str, triptych: Addresses) -> str:
    """Addresses are a page's usual ones, and this Triptych's own here."""
    code = code.replace("127.0.0.1:8080", triptych.rest)
    code = code.replace("127.0.0.1:8000", triptych.triton_http).replace("127.0.0.1:8001", triptych.triton_grpc)
    grpc_port = triptych.triton_grpc.rpartition(":")[2]
    return code.replace("triptych generate ", f"triptych generate --triton-grpc-port={grpc_port} ")


def _run(command: list[str], folder: Path) -> str:
    own_first = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=own_first, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
