"""Every request that reference 004 shows for pictures, as its client sends them, field by field.

Its other half, POST /generate-story, is not offered yet.
"""

import base64
import io
import json
import subprocess
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.storage.servers import wait_until
from tests.triptych_process import Addresses

pytestmark = pytest.mark.triton
TIMEOUT_S = 120.0
DATA_URL = "data:image/png;base64,"


def curl(*arguments: str) -> Any:
    """As the README has it: each call by itself, without a cookie."""
    done = subprocess.run(["curl", "-s", *arguments], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def pending(triptych: Addresses) -> Any:
    story = '{"story": "A magical forest at sunset..."}'
    header = "Content-Type: application/json"
    return curl("-X", "POST", f"http://{triptych.rest}/generate-image", "-H", header, "-d", story)


@pytest.fixture(scope="module")
def completed(triptych: Addresses, pending: Any) -> Any:
    url = f"http://{triptych.rest}/job/{pending['job_id']}"
    wait_until(lambda: curl(url)["status"] in ("completed", "failed"), "the picture is there", TIMEOUT_S)
    return curl(url)


def test_a_job_is_submitted_and_pending(pending: Any) -> None:
    assert set(pending) == {"job_id", "status"}
    assert (isinstance(pending["job_id"], str), pending["status"]) == (True, "pending")


def test_polling_ends_in_the_answer_of_the_readme(pending: Any, completed: Any) -> None:
    assert set(completed) == {"job_id", "status", "result"}
    assert (completed["job_id"], completed["status"]) == (pending["job_id"], "completed")
    assert set(completed["result"]) == {"image"}


def test_the_image_is_a_data_url_of_a_picture(completed: Any) -> None:
    url = completed["result"]["image"]
    assert url.startswith(DATA_URL)
    with Image.open(io.BytesIO(base64.b64decode(url.removeprefix(DATA_URL), validate=True))) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (128, 128))


def test_a_job_that_there_is_not_is_404(triptych: Addresses) -> None:
    assert httpx.get(f"http://{triptych.rest}/job/xyz-456").status_code == 404


def test_stories_of_pictures_are_not_offered_yet(triptych: Addresses) -> None:
    answer = httpx.post(f"http://{triptych.rest}/generate-story", json={"image": f"{DATA_URL}..."})
    assert answer.status_code == 404
