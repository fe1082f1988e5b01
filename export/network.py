"""A network on its way to ONNX: the module, its named tensors, and inputs to prove it with. Knows no family."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from export.graph import GraphInput, GraphOutput, export_graph
from export.parity import check_parity


@dataclass(frozen=True)
class Network:
    """What a builder makes from a folder of weights, and all that exporting and checking need to know."""

    module: torch.nn.Module
    inputs: tuple[GraphInput, ...]
    outputs: tuple[GraphOutput, ...]
    # Name -> one tensor per input: other batches and shapes than the example's, random and real.
    cases: Mapping[str, tuple[torch.Tensor, ...]]


def export_network(name: str, network: Network, path: Path) -> dict[str, float]:
    """Write the graph, run it beside its source, and answer the relative error of each case."""
    network.module.eval()
    export_graph(network.module, list(network.inputs), list(network.outputs), path)
    return check_parity(name, path, network)
