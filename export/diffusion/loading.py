"""One network of a diffusion family, from its folder in the hub's layout. Knows no graph, and fetches nothing."""

from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from modelcore.errors import SetupProblem

Loaded = TypeVar("Loaded", bound=torch.nn.Module)


def load_part(kind: type[Loaded], folder: Path) -> Loaded:
    """The network in fp32, ready to be run; SetupProblem says what is wrong with the folder."""
    _quiet_libraries()
    options: dict[str, Any] = {"dtype": torch.float32}
    if issubclass(kind, ModelMixin):
        options = {"torch_dtype": torch.float32, "low_cpu_mem_usage": False}  # else it asks for one more package
    loader: Any = kind
    loaded: Loaded
    try:
        loaded, found = loader.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise SetupProblem(f"{folder} holds no readable {kind.__name__}: {str(error).splitlines()[0]}") from error
    if found["missing_keys"]:
        # Both libraries go on with random numbers in their place.
        first, count = sorted(found["missing_keys"])[0], len(found["missing_keys"])
        raise SetupProblem(f"{folder}: {count} tensors of {kind.__name__} are not in the weights, {first} among them")
    return loaded.eval()


def _quiet_libraries() -> None:
    """Their bars and reports would break into our progress; what they report and matters is checked above."""
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    diffusers_logging.set_verbosity_error()
