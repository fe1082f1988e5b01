"""What dynamic batching is worth for CLIP: the same texts, with it and without, by turns in one run.

    python -m bench.embedding_batching [--rounds 6]

Two Tritons serve the same exported networks; one has the catalog's configurations, the other the same without
`dynamic_batching`. Every text is new, so that the response cache answers nothing.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tritonclient.grpc.aio as triton

from embedded.options import TritonOptions
from embedded.server import TritonServer
from modelcore.catalog import CATALOG
from modelcore.contract import ServedModel
from modelcore.pbtxt import render
from triptych.project import MODEL_REPOSITORY

CLIENTS = (1, 4, 16, 64)
REQUESTS_A_ROUND = 400
READY_TIMEOUT_S = 60.0
FIRST_PORT = 19400
_text_number = itertools.count()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.embedding_batching", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, metavar="N", help="of each way (default: %(default)s)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        addresses = {
            name: stack.enter_context(serving(Path(scratch, name), batching, FIRST_PORT + 10 * batching))
            for name, batching in (("with", True), ("without", False))
        }
        asyncio.run(compare(addresses, rounds))
    return 0


async def compare(addresses: dict[str, str], rounds: int) -> None:
    say(f"{'clients':>7}  {'with':>9}  {'without':>9}  {'ratio':>6}  {'mean batch':>10}")
    for clients in CLIENTS:
        rates: dict[str, list[float]] = {name: [] for name in addresses}
        before = await counts(addresses["with"])
        for _ in range(rounds):
            for name, address in addresses.items():
                rates[name].append(await texts_per_second(address, clients))
        after = await counts(addresses["with"])
        ratio = statistics.median(fast / slow for fast, slow in zip(rates["with"], rates["without"], strict=True))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        batch = (after[0] - before[0]) / (after[1] - before[1])
        say(f"{clients:7}  {medians['with']:7.0f}/s  {medians['without']:7.0f}/s  {ratio:5.2f}x  {batch:10.1f}")


async def texts_per_second(address: str, clients: int) -> float:
    async with triton.InferenceServerClient(address) as client:
        started = time.perf_counter()
        share = REQUESTS_A_ROUND // clients
        await asyncio.gather(*(ask_in_turn(client, share) for _ in range(clients)))
        return share * clients / (time.perf_counter() - started)


async def ask_in_turn(client: triton.InferenceServerClient, times: int) -> None:
    for _ in range(times):
        text = triton.InferInput("text", [1, 1], "BYTES")
        text.set_data_from_numpy(np.array([[f"text number {next(_text_number)}".encode()]], dtype=object))
        await client.infer("clip_text_string", [text])


async def counts(address: str) -> tuple[int, int]:
    async with triton.InferenceServerClient(address) as client:
        (model,) = (await client.get_inference_statistics("clip_text")).model_stats
        return model.inference_count, model.execution_count


@contextlib.contextmanager
def serving(repository: Path, batching: bool, port: int) -> Iterator[str]:
    for model in CATALOG:
        write_model(repository, model if batching else dataclasses.replace(model, batching=None))
    options = TritonOptions((repository,), http_port=port, grpc_port=port + 1, metrics_port=port + 2)
    server = TritonServer(options, repository.with_suffix(".log"))
    try:
        server.start()
        server.wait_ready(READY_TIMEOUT_S)
        yield f"{options.local_address}:{options.grpc_port}"
    finally:
        server.stop()


def write_model(repository: Path, model: ServedModel) -> None:
    """A configuration of ours over the exported version folder."""
    folder = repository / model.name
    folder.mkdir(parents=True)
    (folder / "config.pbtxt").write_text(render(model))
    (folder / "1").symlink_to(MODEL_REPOSITORY / model.name / "1")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
