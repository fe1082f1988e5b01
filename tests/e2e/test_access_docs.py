"""Everything that docs/access.md shows, in the order in which it stands there, on an address that others can reach."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages import Page
from tests.triptych_process import TriptychProcess, running_triptych

pytestmark = pytest.mark.triton
PAGE = Page("access.md")
OPENING, ASKING, KEEPING = PAGE.blocks("sh")
(PROGRAM,) = PAGE.blocks("python")
CREATE, UP = OPENING.splitlines()
THERE = "box.example:8080"


@pytest.fixture(scope="module", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where these commands look without being told, and that they are found."""
    state = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("TRIPTYCH_STATE_FOLDER", str(state))
        patch.setenv("CURL_HOME", str(state))
        patch.setenv("NO_PROXY", "*")
        yield state


@pytest.fixture(scope="module")
def refused(state: Path) -> str:
    """What `triptych up` says before there is a key."""
    return run(UP, expected=1).stderr


@pytest.fixture(scope="module")
def token(refused: str) -> str:
    return run(CREATE).stdout.strip()


@pytest.fixture(scope="module")
def up(state: Path, token: str) -> Iterator[TriptychProcess]:
    with running_triptych(state, ["sh", "-c", f'{without_comment(UP)} "$@"', "sh"]) as triptych:
        (state / ".curlrc").write_text(f'connect-to = "{THERE}:{here(triptych)}"\n', encoding="utf-8")
        yield triptych


def here(triptych: TriptychProcess) -> str:
    return triptych.addresses.rest


def without_comment(line: str) -> str:
    return line.partition(" #")[0].strip()


def run(command: str, *, expected: int = 0, **environment: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        ["sh", "-euc", command], env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == expected, done.stderr
    return done


def ask(token: str) -> dict[str, object]:
    answer: dict[str, object] = json.loads(run(ASKING, TRIPTYCH_KEY=token).stdout)
    return answer


def test_without_a_key_it_says_so_and_ends(refused: str) -> None:
    (told,) = re.findall(r"^    (refusing to listen .*)$", PAGE.text, re.MULTILINE)
    assert refused == f"triptych: {told}\n"


def test_by_the_name_that_is_allowed_the_key_is_let_in(up: TriptychProcess, token: str) -> None:
    assert ask(token) == {"images": [], "next_cursor": None, "warnings": []}


def test_without_the_key_nobody_is_let_in(up: TriptychProcess) -> None:
    assert ask("tt_abc123XY")["status"] == 401


def test_the_program_paints_a_picture_that_is_the_keys(up: TriptychProcess, token: str) -> None:
    program = PROGRAM.replace(THERE, here(up))
    command = [sys.executable, "-c", program]
    environment = os.environ | {"TRIPTYCH_KEY": token}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    images = ask(token)["images"]
    assert isinstance(images, list)
    assert [image["id"] for image in images] == done.stdout.split()


def test_a_key_with_limits_is_made_listed_and_revoked(up: TriptychProcess) -> None:
    create, show, revoke = map(without_comment, KEEPING.splitlines())
    token = run(create).stdout.strip()
    assert "status" not in ask(token)
    shown = "Ada  read,create  60 requests/minute, 2000000000 cost/day  valid"
    assert f"{token[:11]}...  {shown}" in run(show).stdout
    assert "revoked" in run(revoke.replace("tt_abc123XY", token[:11])).stdout
    assert ask(token)["status"] == 401


def test_the_cost_that_is_told_is_the_one_that_is_counted(up: TriptychProcess) -> None:
    """A key that may spend one less than the page's example costs is refused it."""
    (cost,) = re.findall(r"4 pictures cost ([0-9,]+)\.", PAGE.text)
    enough = int(cost.replace(",", ""))
    token = run(f"triptych keys create Ada --cost-per-day {enough - 1}").stdout.strip()
    wishes = json.dumps({"prompt": "a red circle", "width": 128, "height": 128, "steps": 20, "num_images": 4})
    curl = f"curl -s http://{THERE}/generate -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json'"
    refusal = json.loads(run(f"{curl} -d '{wishes}'").stdout)
    assert (refusal["status"], refusal["detail"].split()[2]) == (422, str(enough))
