"""Shapes of /variations. The answer is /generate's, with where it came from."""

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from modelcore.text.limits import TextLimits
from orchestrator.generate.order import Order
from orchestrator.generate.schemas import PREVIEW_EVERY, Count, GenerateAnswer, Name, Number, Seed, generate_answer
from orchestrator.generate.service import Generated
from orchestrator.pictures.base64_pictures import read_base64_picture
from orchestrator.pictures.schemas import LabelsField
from orchestrator.schemas import StrictRequest

_MOST_CHARACTERS = TextLimits().max_characters
_PIPELINES_OWN = (
    "num_images",
    "strength",
    "variation_strength",
    "seed",
    "prompt",
    "negative_prompt",
    "steps",
    "guidance_scale",
    "scheduler",
    "output_format",
)


class VariationsRequest(StrictRequest):
    """Of a picture of yours, or of one that comes along. Whatever is left out is as the picture was painted with."""

    image_id: str | None = Field(
        None, description="A picture of yours. Without it, and without `image`: your last one."
    )
    image: str | None = Field(None, description="A picture that is not kept: base64, or a data URL.")
    model: Name = Field(None, description="The family that is served.")
    num_images: Count = Field(None, description="How many variations.")
    variation_strength: Number = Field(
        None, description="How far to walk from the picture's noise to another: 0 to 1. For what was painted here."
    )
    strength: Number = Field(None, description="How far to go from the picture itself: 0 to 1. For any picture.")
    seed: Seed = Field(None, description="Of the first variation; the next ones count up. -1: any.")
    prompt: str | None = Field(
        None, min_length=1, max_length=_MOST_CHARACTERS, description="Other words than the picture's own."
    )
    negative_prompt: str | None = Field(None, max_length=_MOST_CHARACTERS, description="What to keep away from.")
    steps: Count = Field(None, description="How many times the noise is predicted.")
    guidance_scale: Number = Field(None, description="How much the prompt counts.")
    scheduler: Name = Field(None, description="By name; a wrong one is answered with the list.")
    preview_every: Count = Field(
        None, description=f"A preview every so many steps of a stream; 0: none. Without it: {PREVIEW_EVERY}."
    )
    output_format: Literal["png", "jpeg", "webp"] = "png"
    labels: LabelsField = None
    analyze: bool = Field(True, description="Say what the first picture shows.")
    segment: bool = Field(True, description="And which regions it has.")

    async def sent(self) -> bytes | None:
        return None if self.image is None else await read_base64_picture(self.image, "image")

    def wishes(self, *, is_streamed: bool) -> dict[str, Any]:
        """In the pipeline's words."""
        wishes = self.model_dump(include=set(_PIPELINES_OWN), exclude_none=True)
        if is_streamed:
            wishes["preview_every"] = PREVIEW_EVERY if self.preview_every is None else self.preview_every
        return wishes

    def looked_at(self, order: Order) -> Order:
        return replace(order, labels=self.labels, analyze=self.analyze, segment=self.segment)


class VariationsAnswer(GenerateAnswer):
    parent_id: str | None = Field(description="The picture they are variations of, where it is one of yours.")
    prompt: str = Field(description="The words they were painted by.")


def variations_answer(request_id: str, order: Order, generated: Generated) -> VariationsAnswer:
    same = generate_answer(request_id, generated).model_dump(by_alias=True)
    parent = None if order.parent is None else order.parent.image_id
    return VariationsAnswer(**same, parent_id=parent, prompt=order.prompt)
