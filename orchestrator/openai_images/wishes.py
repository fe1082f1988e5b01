"""OpenAI's words for a picture in the pipeline's, and the pipeline's refusals in OpenAI's. Knows no HTTP."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from modelcore.errors import InvalidInput
from modelcore.family import Diffusion

# Steps as a share of the family's own number of them.
_SHARE_OF_QUALITY = {"low": 0.5, "medium": 1.0, "high": 2.0}
_SAME_AS = {None: "medium", "auto": "medium", "standard": "medium", "hd": "high"}
_PARAM_OF_INPUT = {
    "width": "size",
    "height": "size",
    "num_images": "n",
    "mask_image": "mask",
    "output_quality": "output_compression",
}
_INPUT = re.compile(r"\b(num_images|mask_image|output_quality)\b")


def quality_of(asked: str | None) -> str:
    """low, medium or high: nobody is told "auto" when it is over."""
    return _SAME_AS.get(asked, asked or "")


def steps_of(quality: str, diffusion: Diffusion) -> int:
    limit = diffusion.limits.steps
    wanted = round(diffusion.defaults.steps * _SHARE_OF_QUALITY[quality])
    return min(max(wanted, limit.minimum), limit.maximum)


def size_of(asked: str | None) -> tuple[int, int] | None:
    """None: whatever suits. The text was checked by the schema."""
    if asked is None or asked == "auto":
        return None
    width, _, height = asked.partition("x")
    return int(width), int(height)


@contextmanager
def named_as_asked() -> Iterator[None]:
    """A refusal names the pipeline's input; this caller knows it by another name."""
    try:
        yield
    except InvalidInput as error:
        param = _PARAM_OF_INPUT.get(error.field, error.field)
        detail = _INPUT.sub(lambda match: _PARAM_OF_INPUT[match[0]], error.detail)
        raise InvalidInput(f"size: {detail}" if param == "size" else detail, field=param) from error
