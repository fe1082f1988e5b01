"""How a graph is written and proven, shown on modules of one line."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export import graph
from export.graph import GraphInput, GraphOutput
from export.network import Network, export_network
from export.parity import open_session, relative_error
from modelcore.errors import SetupProblem

ROWS = {0: "batch", 1: "size"}


class Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.inner(x)
        return answer


class Centred(torch.nn.Module):
    """Looks at all rows of its batch, which nothing that shares calls may do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(dim=0)


def network(module: torch.nn.Module, **cases: dict[str, tuple[torch.Tensor, ...]]) -> Network:
    return Network(
        module=module,
        inputs=(GraphInput("x", torch.randn(2, 3), (0,), ROWS),),
        outputs=(GraphOutput("y", ROWS),),
        **{"cases": {"batch 4": (torch.randn(4, 3),)}, **cases},
    )


def test_small_weights_are_in_the_graphs_own_file(tmp_path: Path) -> None:
    export_network("net", network(Linear()), tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_large_weights_lie_in_one_file_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "ONE_FILE_BYTES", 10)
    export_network("net", network(Linear()), tmp_path / "model.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]


def test_a_fixed_size_that_the_config_leaves_open_is_open_in_the_session(tmp_path: Path) -> None:
    export_network("net", network(Linear()), tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx")
    assert [item.shape for item in (*session.get_inputs(), *session.get_outputs())] == [["batch", "size"]] * 2


def test_no_node_tells_where_it_was_made(tmp_path: Path) -> None:
    export_network("net", network(Linear()), tmp_path / "model.onnx")
    assert b".py" not in (tmp_path / "model.onnx").read_bytes()


def test_an_inner_value_gives_way_to_an_output_of_its_name(tmp_path: Path) -> None:
    wanted = network(Linear())
    taken = Network(wanted.module, wanted.inputs, (GraphOutput("inner.weight", ROWS),), wanted.cases)
    export_network("net", taken, tmp_path / "model.onnx")
    assert [value.name for value in onnx.load(tmp_path / "model.onnx").graph.output] == ["inner.weight"]


def test_a_network_whose_rows_see_each_other_fails_the_cases_by_row(tmp_path: Path) -> None:
    mixed = network(Centred(), cases_by_row={"three rows": (torch.randn(3, 3),)})
    with pytest.raises(SetupProblem, match=r"differs from its source by .* on three rows"):
        export_network("net", mixed, tmp_path / "model.onnx")


def test_rows_that_do_not_see_each_other_pass_the_cases_by_row(tmp_path: Path) -> None:
    errors = export_network(
        "net", network(Linear(), cases_by_row={"three rows": (torch.randn(3, 3),)}), tmp_path / "model.onnx"
    )
    assert np.all(np.array([errors["batch 4"], errors["three rows"]]) < 1e-6)


def test_an_axis_that_the_module_fixes_cannot_be_declared_open(tmp_path: Path) -> None:
    """torch.onnx.export alone would fix it without a word."""
    wrong = Network(
        Linear(), (GraphInput("x", torch.randn(2, 3), (0, 1), ROWS),), (GraphOutput("y", ROWS),), {"any": ()}
    )
    with pytest.raises(Exception, match=r"specialized|Constraints violated"):
        export_network("net", wrong, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("got", "wanted", "error"),
    [([1.0, 4.0], [1.0, 5.0], 0.2), ([0.0], [0.0], 0.0), ([1.0], [0.0], np.inf), ([np.nan], [1.0], np.inf)],
)
def test_the_error_is_relative_to_the_largest_magnitude(got: list[float], wanted: list[float], error: float) -> None:
    assert relative_error(np.array(got, np.float32), np.array(wanted, np.float32)) == pytest.approx(error)
