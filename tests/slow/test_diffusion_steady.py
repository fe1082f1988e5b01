"""Five hundred pictures of mixed settings: no process of a Triptych grows. The demo family, the real Triton."""

import itertools

import psutil
import pytest

from tests.clients import Painting
from tests.triptych_process import TriptychProcess
from triptych.painting import Painter

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(3600)]

PICTURES, WARM_PICTURES, AT_ONCE = 500, 50, 5
MAX_GROWTH = 1.05
SCHEDULERS = ("ddim", "pndm", "euler", "euler_a", "heun", "dpmpp_2m", "dpmpp_2m_karras", "dpmpp_sde", "unipc", "lcm")
SIZES = ((64, 64), (128, 128), (128, 64), (96, 96))
FORMATS = ("png", "jpeg", "webp")


def mixed_wishes() -> "itertools.cycle[dict[str, object]]":
    """Lengths of no common factor, so that the settings meet in ever new ways."""
    return itertools.cycle(
        {
            "prompt": f"a red circle, take {number % 50}",
            "seed": number,
            "steps": 4 + number % 7,  # pndm takes no fewer
            "scheduler": SCHEDULERS[number % len(SCHEDULERS)],
            "width": SIZES[number % len(SIZES)][0],
            "height": SIZES[number % len(SIZES)][1],
            "guidance_scale": (1.0, 3.0, 7.5)[number % 3],
            "preview_every": number % 4,
            "output_format": FORMATS[number % len(FORMATS)],
        }
        for number in range(10_000)
    )


def test_five_hundred_pictures_grow_no_process(triptych_process: TriptychProcess) -> None:
    painter = Painter(triptych_process.addresses.triton_grpc, "demo")
    wishes = mixed_wishes()
    paint(painter, wishes, WARM_PICTURES)
    before = resident_bytes(triptych_process)
    paint(painter, wishes, PICTURES - WARM_PICTURES)
    after = resident_bytes(triptych_process)
    assert before.keys() == after.keys()
    growth = {name: after[name] / before[name] for name in before}
    assert max(growth.values()) < MAX_GROWTH, growth


def paint(painter: Painter, wishes: "itertools.cycle[dict[str, object]]", pictures: int) -> None:
    for _ in range(pictures // AT_ONCE):
        for painting in [Painting(painter, next(wishes)) for _ in range(AT_ONCE)]:
            painting.wait()


def resident_bytes(triptych: TriptychProcess) -> dict[tuple[int, str], int]:
    """By process: its own, and what it shares."""
    root = psutil.Process(triptych.process.pid)
    family = [root, *root.children(recursive=True)]
    return {(process.pid, " ".join(process.cmdline())[:120]): process.memory_info().rss for process in family}
