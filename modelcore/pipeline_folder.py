"""The files beside a pipeline's code: what `<family>` must know of its weights that no network tells it.

Export writes them, the pipeline reads them at its start. In the hub's own layout, as far as the hub has a place for it:

    family.toml                       the family's own file: its defaults and limits
    pipeline.json                     PipelineFacts
    scheduler/scheduler_config.json   as diffusers wrote it
    tokenizer/tokenizer.json          and tokenizer_2/, tokenizer_3/: one for each text encoder, with its padding
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelcore.diffusion.networks import LatentFacts
from modelcore.errors import SetupProblem
from modelcore.family import FAMILY_FILE, Diffusion, read_diffusion

FACTS_FILE = "pipeline.json"
SCHEDULER_FILE = "scheduler/scheduler_config.json"


@dataclass(frozen=True)
class PipelineFacts:
    """What was read off the weights when they were exported."""

    model_digest: str  # of all the weights it paints with: sha256, hexadecimal
    forces_zeros_for_empty_prompt: bool  # sdxl's way of saying that nothing was asked for
    latents: LatentFacts


@dataclass(frozen=True)
class PipelineFolder:
    diffusion: Diffusion
    facts: PipelineFacts
    scheduler_config: Mapping[str, Any]
    tokenizers: tuple[Path, ...]  # folders, in the order of the text encoders


def write_facts(folder: Path, facts: PipelineFacts) -> None:
    (folder / FACTS_FILE).write_text(json.dumps(asdict(facts), indent=2) + "\n")


def read_pipeline_folder(folder: Path) -> PipelineFolder:
    diffusion = read_diffusion(folder / FAMILY_FILE)
    return PipelineFolder(
        diffusion=diffusion,
        facts=_facts(folder / FACTS_FILE),
        scheduler_config=_json(folder / SCHEDULER_FILE),
        tokenizers=tuple(sorted(path.parent for path in folder.glob("tokenizer*/tokenizer.json"))),
    )


def _facts(path: Path) -> PipelineFacts:
    content = _json(path)
    try:
        return PipelineFacts(**content | {"latents": LatentFacts(**content["latents"])})
    except (KeyError, TypeError) as error:
        raise SetupProblem(f"{path.name} is not of this version ({error}): export the family again") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SetupProblem(f"{path.name} is missing or damaged: export the family again") from error
    return content
