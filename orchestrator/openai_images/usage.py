"""What a request is said to have used: OpenAI's clients expect tokens. Nothing is charged by them. Knows no HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelcore.errors import TriptychError
from modelcore.family import SIZE_STEP_PX
from orchestrator.gallery.pictures import Image
from orchestrator.tensors import column_of_bytes
from orchestrator.triton import Triton

_TOKENIZER = "clip_tokenize"
_DEADLINE_S = 2.0


@dataclass(frozen=True)
class Usage:
    """A picture has a token for each cell of the latents it was painted in, 8 x 8 pixels."""

    text_tokens: int
    input_image_tokens: int
    output_image_tokens: int


class PromptTokens:
    def __init__(self, triton: Triton) -> None:
        self._triton = triton

    async def count(self, prompt: str) -> int | None:
        """As the family's CLIP reads it. None where it does not answer: no reason to paint nothing."""
        inputs = {"text": column_of_bytes([prompt.encode()])}
        try:
            answer = await self._triton.infer(_TOKENIZER, inputs, deadline_s=_DEADLINE_S)
        except TriptychError:
            return None
        return int(answer["token_count"].item())


def usage_of(text_tokens: int | None, images: Sequence[Image], *, is_from_picture: bool) -> Usage | None:
    if text_tokens is None:
        return None
    cells = [image.width * image.height // SIZE_STEP_PX**2 for image in images]
    return Usage(text_tokens, cells[0] if is_from_picture else 0, sum(cells))
