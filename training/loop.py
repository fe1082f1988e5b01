"""The one training loop: batches by step number, checkpoints that survive a kill, a curve on disk.

Knows no network. A task is handed in that makes batch number n and says its loss; since batches depend on
nothing but their number, a resumed run sees just what an uninterrupted one would have.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from training.curve import Curve
from training.device import best_device, mixed_precision
from training.optimizer import Optimizers

_CHECKPOINT_EVERY_S = 60.0
_POINT_EVERY = 25  # steps
_LARGEST_GRADIENT = 1.0


class Task(Protocol):
    """What one part brings: its name, its network, its data and its loss."""

    name: str
    network: nn.Module
    learning_rate: float
    matrix_rate: float  # of the matrices inside the network

    def batch(self, step: int) -> Any: ...
    def loss(self, batch: Any) -> tuple[Tensor, dict[str, float]]: ...


@dataclass
class Run:
    """Where a training run stands: what a checkpoint holds besides weights."""

    folder: Path
    steps: int
    done: int = 0
    seconds: float = 0.0  # of processor time
    curve: Curve = field(default_factory=Curve)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def minutes(self) -> float:
        return self.seconds / 60


def train(task: Task, folder: Path, steps: int, *, resume: bool = True) -> Run:
    """Train to `steps` steps in all, from the folder's checkpoint where there is one."""
    device = best_device()
    task.network.to(device).train()
    optimizers = Optimizers(task.network, task.learning_rate, task.matrix_rate, steps)
    run = Run(folder, steps)
    folder.mkdir(parents=True, exist_ok=True)
    if resume and run.checkpoint.exists():
        _load(run, task, optimizers)
    _advance(run, task, optimizers, device)
    _save(run, task, optimizers)
    run.curve.write(folder, task.name)
    task.network.eval()
    return run


def _advance(run: Run, task: Task, optimizers: Optimizers, device: torch.device) -> None:
    saved_at = time.monotonic()
    before = run.seconds - time.process_time()  # a suspended run costs nothing
    progress = tqdm(range(run.done, run.steps), task.name, initial=run.done, total=run.steps, mininterval=5)
    for step in progress:
        torch.manual_seed(step)  # noise and dropout, too, depend on the step's number alone
        with mixed_precision(device):
            loss, parts = task.loss(task.batch(step))
        loss.backward()
        nn.utils.clip_grad_norm_(task.network.parameters(), _LARGEST_GRADIENT)
        optimizers.step(step)
        run.done, run.seconds = step + 1, before + time.process_time()
        if run.done % _POINT_EVERY == 0:
            run.curve.add(run.done, run.seconds, {"loss": loss.item(), **parts})
            progress.set_postfix(loss=f"{loss.item():.3f}")
        if time.monotonic() - saved_at > _CHECKPOINT_EVERY_S:
            _save(run, task, optimizers)
            run.curve.write(run.folder, task.name)
            saved_at = time.monotonic()


def _save(run: Run, task: Task, optimizers: Optimizers) -> None:
    """Written beside and renamed, so that a kill leaves the old checkpoint or the new one."""
    state = {
        "network": task.network.state_dict(),
        "optimizers": optimizers.state_dict(),
        "done": run.done,
        "seconds": run.seconds,
        "curve": run.curve.points,
    }
    unfinished = run.checkpoint.with_suffix(".unfinished")
    torch.save(state, unfinished)
    unfinished.replace(run.checkpoint)


def _load(run: Run, task: Task, optimizers: Optimizers) -> None:
    state = torch.load(run.checkpoint, map_location="cpu", weights_only=True)
    task.network.load_state_dict(state["network"])
    optimizers.load_state_dict(state["optimizers"])
    run.done, run.seconds = state["done"], state["seconds"]
    run.curve = Curve(state["curve"])
