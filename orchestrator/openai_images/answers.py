"""OpenAI's shapes of pictures that were made, at once or as events."""

import time
from typing import Any, Literal

from pydantic import BaseModel, Field

from orchestrator.openai_images.usage import Usage
from orchestrator.pictures.base64_pictures import write_base64

EventKind = Literal["image_generation", "image_edit"]


class MadeImage(BaseModel):
    b64_json: str | None = None
    url: str | None = Field(default=None, description="Opens without a key, for an hour.")
    revised_prompt: str | None = Field(None, description="The words it was painted by, where none were sent.")
    seed: int = Field(description="Which paints it again.")
    image_id: str = Field(description="In your gallery.")


class InputTokens(BaseModel):
    text_tokens: int
    image_tokens: int


class UsageBody(BaseModel):
    """Words as the family's CLIP counts them; a picture has a token for each 8 x 8 pixels."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokens


class ImagesAnswer(BaseModel):
    created: int = Field(description="Seconds since 1970.")
    background: Literal["opaque"] = "opaque"
    data: list[MadeImage]
    output_format: str
    quality: str | None = None
    size: str
    usage: UsageBody | None = None
    warnings: list[str] = Field(description="Words of the prompt that were more than the model reads, and were cut.")


def size_text(width: int, height: int) -> str:
    return f"{width}x{height}"


def usage_body(usage: Usage | None) -> UsageBody | None:
    if usage is None:
        return None
    given, made = usage.text_tokens + usage.input_image_tokens, usage.output_image_tokens
    details = InputTokens(text_tokens=usage.text_tokens, image_tokens=usage.input_image_tokens)
    return UsageBody(input_tokens=given, output_tokens=made, total_tokens=given + made, input_tokens_details=details)


def image_event(
    kind: EventKind, stage: str, picture: bytes, *, size: str, quality: str, output_format: str
) -> dict[str, Any]:
    """What a preview and the picture itself have in common."""
    return {
        "type": f"{kind}.{stage}",
        "b64_json": write_base64(picture),
        "created_at": int(time.time()),
        "size": size,
        "quality": quality,
        "background": "opaque",
        "output_format": output_format,
    }
