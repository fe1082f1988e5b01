"""A network on its way to ONNX: the module, its named tensors, and inputs to prove it with. Knows no family."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from export.graph import GraphInput, GraphOutput, export_graph
from export.parity import check_parity

Case = tuple[torch.Tensor, ...]  # one tensor per input


@dataclass(frozen=True)
class Network:
    """What a builder makes from a folder of weights, and all that exporting and checking need to know."""

    module: torch.nn.Module
    inputs: tuple[GraphInput, ...]
    outputs: tuple[GraphOutput, ...]
    # By name: other batches and shapes than the example's, random and real.
    cases: Mapping[str, Case]
    # The same, but the source takes each row alone: that rows share a call must not show.
    cases_by_row: Mapping[str, Case] = field(default_factory=dict)


def export_network(name: str, network: Network, path: Path) -> dict[str, float]:
    """Write the graph, run it beside its source, and answer the relative error of each case."""
    network.module.eval()
    export_graph(network.module, network.inputs, network.outputs, path)
    return check_parity(name, path, network)
