"""What REST adds to Triton: requests a second, their latency, and the part of it in which Triton had nothing to do.

    python -m bench.rest_latency [--requests 24] [--clients 1 4 16] [--steps 20]

A whole Triptych, started as a user starts it, in a state folder of its own. Each client keeps one connection and its
own session, and asks again as soon as it is answered. Every prompt and every picture is new, so that no cache answers.
The time outside Triton is a client's latency less what `Server-Timing` says of Triton: parsing, storing, thumbnail,
database, JSON, base64, sockets and this client's own reading are all in it. The least of it is what a busy machine
cannot blur. "CPU" is what the REST process spends on a request, with its share of what it does all the time.
"""

import argparse
import asyncio
import io
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

from tests.triptych_process import running_triptych

CLIENTS = (1, 4, 16)
TIMEOUT_S = 600.0
_number = itertools.count()


@dataclass(frozen=True)
class Sample:
    latency_s: float
    triton_s: float


Ask = Callable[[httpx.AsyncClient], httpx.Request]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.rest_latency", description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=24, metavar="N", help="of each kind (default: %(default)s)")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, metavar="N", help="default: 1 4 16")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="of each picture (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as state, running_triptych(Path(state)) as triptych:
        orchestrator = process_of(triptych.process.pid)
        asyncio.run(measure(triptych.addresses.rest, orchestrator, arguments))
    return 0


async def measure(rest: str, orchestrator: psutil.Process, arguments: argparse.Namespace) -> None:
    outside = "outside Triton: least, p50"
    heads = f"{'clients':>7} {'a second':>9} {'p50':>8} {'p95':>8} {'p99':>8} {outside:>27} {'CPU':>8}"
    say(f"{'':18} {heads}")
    kinds: dict[str, Ask] = {
        "generate": lambda client: generate(client, arguments.steps, analyze=True),
        "generate, unseen": lambda client: generate(client, arguments.steps, analyze=False),
        "analyze": analyze,
    }
    for clients in arguments.clients:
        for name, ask in kinds.items():
            await run(rest, ask, 2, min(clients, 2))  # connections, buffers, label vectors
            before_s = cpu_s(orchestrator)
            started_s = time.perf_counter()
            samples = await run(rest, ask, arguments.requests, clients)
            taken_s = time.perf_counter() - started_s
            spent_s = (cpu_s(orchestrator) - before_s) / len(samples)
            say(row(name, clients, len(samples) / taken_s, samples, spent_s))


async def run(rest: str, ask: Ask, requests: int, clients: int) -> list[Sample]:
    shares = [len(range(number, requests, clients)) for number in range(clients)]
    async with AsyncExitStack() as stack:
        # All of them before the first request: making one takes long enough to be measured as somebody's waiting.
        made = [httpx.AsyncClient(base_url=f"http://{rest}", timeout=TIMEOUT_S, verify=False) for _ in shares]
        for client in made:
            await stack.enter_async_context(client)
        pairs = zip(made, shares, strict=True)
        answered = await asyncio.gather(*(one_after_the_other(client, ask, share) for client, share in pairs))
    return [sample for samples in answered for sample in samples]


async def one_after_the_other(client: httpx.AsyncClient, ask: Ask, requests: int) -> list[Sample]:
    return [await timed(client, ask) for _ in range(requests)]


async def timed(client: httpx.AsyncClient, ask: Ask) -> Sample:
    request = ask(client)  # before the clock starts: drawing a picture takes as long as much of what is measured
    started_s = time.perf_counter()
    answer = await client.send(request)
    latency_s = time.perf_counter() - started_s
    answer.raise_for_status()
    return Sample(latency_s, triton_s(answer))


def generate(client: httpx.AsyncClient, steps: int, *, analyze: bool) -> httpx.Request:
    number = next(_number)
    wishes = {"prompt": f"a red circle {number}", "seed": number, "steps": steps, "analyze": analyze}
    return client.build_request("POST", "/generate", json=wishes)


def analyze(client: httpx.AsyncClient) -> httpx.Request:
    return client.build_request("POST", "/analyze", files={"image": ("picture.png", new_picture(), "image/png")})


def new_picture() -> bytes:
    pixels = np.full((128, 128, 3), 255, np.uint8)
    pixels[30:90, 40:100] = np.random.default_rng(next(_number)).integers(0, 256, 3, dtype=np.uint8)
    pixels[0, 0] = np.random.default_rng(next(_number)).integers(0, 256, 3, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def triton_s(answer: httpx.Response) -> float:
    entries = dict(entry.strip().split(";dur=") for entry in answer.headers["Server-Timing"].split(","))
    return float(entries["triton"]) / 1000


def row(name: str, clients: int, rate: float, samples: list[Sample], cpu_each_s: float) -> str:
    p50, p95, p99 = (np.percentile([sample.latency_s for sample in samples], [50, 95, 99]) * 1000).tolist()
    outside_s = [sample.latency_s - sample.triton_s for sample in samples]
    share = statistics.median(each_s / sample.latency_s for each_s, sample in zip(outside_s, samples, strict=True))
    outside = f"{min(outside_s) * 1000:.1f}, {statistics.median(outside_s) * 1000:.1f} ms, {share:.1%}"
    times = f"{p50:6.0f}ms {p95:6.0f}ms {p99:6.0f}ms"
    return f"{name:18} {clients:7} {rate:7.2f}/s {times} {outside:>27} {cpu_each_s * 1000:6.1f}ms"


def process_of(up: int) -> psutil.Process:
    """The REST service among the processes that `triptych up` has started."""
    children = psutil.Process(up).children(recursive=True)
    return next(child for child in children if "orchestrator" in " ".join(child.cmdline()))


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
