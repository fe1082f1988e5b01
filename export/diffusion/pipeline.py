"""What a family's pipeline reads beside its networks: tokenizers, the scheduler's numbers, facts of the weights.

Looks at descriptions only; no weights are loaded.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from modelcore.diffusion.networks import latent_facts
from modelcore.errors import SetupProblem
from modelcore.family import FAMILY_FILE, Family
from modelcore.pipeline_folder import SCHEDULER_FILE, PipelineFacts, write_facts
from modelcore.text.tokenizing import TOKENIZER_FILE

INDEX_FILE = "model_index.json"
_LONGEST_TEXT = 100_000  # tokens
_DENOISERS = ("unet", "transformer")


def write_pipeline(family: Family, weights: Path, model_digest: str, version: Path) -> None:
    """`weights` is the folder of the diffusion part, in the hub's layout."""
    shutil.copyfile(family.file, version / FAMILY_FILE)
    write_facts(version, read_facts(family, weights, model_digest))
    (version / SCHEDULER_FILE).parent.mkdir()
    shutil.copyfile(weights / SCHEDULER_FILE, version / SCHEDULER_FILE)
    for folder in sorted(weights.glob("tokenizer*")):
        write_tokenizer(folder, version / folder.name)


def read_facts(family: Family, weights: Path, model_digest: str) -> PipelineFacts:
    assert family.diffusion is not None  # a family without makes no pipeline
    vae = _json(weights / "vae" / "config.json")
    denoiser = next(weights / name for name in _DENOISERS if (weights / name).is_dir())
    index = _json(weights / INDEX_FILE) if (weights / INDEX_FILE).exists() else {}
    return PipelineFacts(
        model_digest=model_digest,
        forces_zeros_for_empty_prompt=bool(index.get("force_zeros_for_empty_prompt", False)),
        latents=latent_facts(family.diffusion.architecture, _json(denoiser / "config.json"), vae),
    )


def write_tokenizer(source: Path, target: Path) -> None:
    """One file for the `tokenizers` library, with the length and the id it is padded with."""
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source, local_files_only=True)
    except (OSError, ValueError) as error:
        raise SetupProblem(f"{source} holds no readable tokenizer: {str(error).splitlines()[0]}") from error
    backend = tokenizer.backend_tokenizer
    # T5 was trained on no length; its tokenizers say so by an absurd one.
    length = tokenizer.model_max_length if tokenizer.model_max_length < _LONGEST_TEXT else None
    backend.enable_padding(length=length, pad_id=tokenizer.pad_token_id, pad_token=str(tokenizer.pad_token))
    target.mkdir()
    backend.save(str(target / TOKENIZER_FILE))


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content
