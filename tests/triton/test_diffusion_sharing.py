"""Pictures in flight share each call of the UNet; each comes out as if it were alone. The demo family, real Triton."""

import threading
from collections.abc import Mapping
from itertools import cycle

import numpy as np
import pytest

from tests.clients import Painting, executions, metric
from tests.triptych_process import Addresses
from tests.triton.conftest import eventually
from triptych.painting import Painter

pytestmark = [pytest.mark.triton, pytest.mark.timeout(900)]

FAMILY, UNET = "demo", "demo_unet"
CLIENTS = 8
# Every scheduler, 4 to 30 steps, with and without guidance: nothing in common but the size.
MIXED: list[dict[str, object]] = [
    {"prompt": "a red circle", "steps": 30, "scheduler": "ddim", "guidance_scale": 3.0, "seed": 1},
    {"prompt": "a blue square", "steps": 4, "scheduler": "lcm", "guidance_scale": 1.0, "seed": 2},
    {"prompt": "a green star", "steps": 12, "scheduler": "pndm", "guidance_scale": 2.0, "seed": 3},
    {"prompt": "a (pink:1.3) heart", "steps": 20, "scheduler": "euler", "guidance_scale": 5.0, "seed": 4},
    {"prompt": "a large cross", "steps": 17, "scheduler": "euler_a", "guidance_scale": 3.0, "seed": 5},
    {"prompt": "a yellow triangle", "steps": 8, "scheduler": "heun", "guidance_scale": 7.5, "seed": 6},
    {"prompt": "a cyan disc", "steps": 25, "scheduler": "dpmpp_2m", "guidance_scale": 3.0, "seed": 7},
    {"prompt": "a violet box", "steps": 15, "scheduler": "dpmpp_2m_karras", "guidance_scale": 4.0, "seed": 8},
    {"prompt": "an orange circle", "steps": 10, "scheduler": "dpmpp_sde", "guidance_scale": 3.0, "seed": 9},
    {"prompt": "two red squares", "steps": 22, "scheduler": "unipc", "guidance_scale": 3.0, "seed": 10},
    {"prompt": "a red circle", "steps": 6, "guidance_scale": 1.0, "seed": 11, "negative_prompt": "blue"},
    {"prompt": "a blue heart", "steps": 9, "seed": 12, "guidance_end": 0.5, "guidance_rescale": 0.7},
]


@pytest.fixture
def painter(triptych: Addresses) -> Painter:
    return Painter(triptych.triton_grpc, FAMILY)


def picture(painter: Painter, wishes: Mapping[str, object]) -> bytes:
    (image,) = Painting(painter, wishes).wait().images
    return image


def test_a_picture_is_the_same_to_the_byte_alone_and_in_company(painter: Painter) -> None:
    alone = [picture(painter, wishes) for wishes in MIXED]
    company = []
    for wishes in MIXED:  # each comes when the one before it is under way
        company.append(Painting(painter, wishes).wait_for_step())
    together = [painting.wait().images for painting in company]
    assert together == [[image] for image in alone]
    assert len(set(alone)) == len(MIXED)


def test_pictures_of_several_sizes_are_the_same_alone_and_in_company(painter: Painter) -> None:
    sizes = [(128, 128), (64, 64), (192, 128), (128, 128), (64, 64), (192, 128)]
    mixed = [
        {"prompt": "a red circle", "steps": 6, "seed": seed, "width": width, "height": height}
        for seed, (width, height) in enumerate(sizes)
    ]
    alone = [picture(painter, wishes) for wishes in mixed]
    company = [Painting(painter, wishes) for wishes in mixed]
    assert [painting.wait().images for painting in company] == [[image] for image in alone]


def test_several_pictures_of_a_request_are_those_of_their_seeds(painter: Painter) -> None:
    wishes = {"prompt": "a green star", "steps": 5, "seed": 40}
    together = Painting(painter, wishes | {"num_images": 3}).wait().images
    pixels = [picture(painter, wishes | {"seed": seed}) for seed in (40, 41, 42)]
    assert together == pixels


def test_eight_clients_share_calls_of_at_least_six_rows(triptych: Addresses, painter: Painter) -> None:
    """Each asks for one picture after the other; counted from when all have begun until the first goes home."""
    begun = threading.Barrier(CLIENTS + 1)
    first_is_gone = threading.Event()

    def client(number: int) -> None:
        settings = cycle(MIXED[number:] + MIXED[:number])
        for count, wishes in enumerate(settings):
            painting = Painting(painter, wishes)
            if count == 0:
                painting.wait_for_step()
                begun.wait()
            painting.wait()
            if count == 5:
                first_is_gone.set()
            if first_is_gone.is_set():
                return

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    begun.wait()
    before = rows_and_calls(triptych)
    assert first_is_gone.wait(600)
    rows, calls = np.subtract(rows_and_calls(triptych), before)
    for thread in threads:
        thread.join()
    assert rows / calls >= 6


def rows_and_calls(triptych: Addresses) -> tuple[float, float]:
    name = "triptych_diffusion_rows_per_call"
    return (
        metric(triptych.triton_metrics, f"{name}_sum", FAMILY),
        metric(triptych.triton_metrics, f"{name}_count", FAMILY),
    )


def test_triton_counts_the_calls_that_the_pipeline_counts(triptych: Addresses, painter: Painter) -> None:
    """Nothing but the engine calls the UNet, and Triton splits none of its calls."""
    calls_before, slots_before = executions(triptych.triton_grpc, UNET)
    ours_before = rows_and_calls(triptych)[1]
    paintings = [Painting(painter, wishes) for wishes in (MIXED[0], MIXED[1], MIXED[3])]
    for painting in paintings:
        painting.wait()
    calls, slots = executions(triptych.triton_grpc, UNET)
    # The pipeline tells right after the answers.
    assert eventually(lambda: rows_and_calls(triptych)[1] - ours_before == calls - calls_before)
    assert slots - slots_before == 2 * 30 + 4 + 2 * 20  # two with guidance, one without


def test_the_eighth_client_sees_its_first_step_within_three_ticks(painter: Painter) -> None:
    """Seven others step together at every tick, so a neighbour's steps count the ticks."""
    long = {"prompt": "a red circle", "steps": 100, "width": 256, "height": 256}
    others = [Painting(painter, long | {"seed": seed}) for seed in range(CLIENTS - 1)]
    try:
        for other in others:
            other.wait_for_step()
        steps_before = others[0].steps
        with Painting(painter, long | {"seed": 99}) as eighth:
            eighth.wait_for_step()
            assert others[0].steps - steps_before <= 3
            assert not others[0].is_over.is_set()
    finally:
        for other in others:
            other.cancel()
        for other in others:
            other.is_over.wait()
