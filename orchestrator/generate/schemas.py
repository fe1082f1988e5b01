"""Shapes of /generate: the answer holds what both kinds of client look for, concepts and class scores."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from modelcore.text.limits import TextLimits
from orchestrator.analyze.schemas import BasicSegmentation, basic_segmentation
from orchestrator.gallery.pictures import Image, Parent
from orchestrator.generate.order import Order
from orchestrator.generate.painter import Step
from orchestrator.generate.service import Generated
from orchestrator.pictures.base64_pictures import read_base64_picture, write_base64
from orchestrator.pictures.schemas import ClassScore, ClipAnalysis, LabelsField, class_scores, clip_analysis
from orchestrator.schemas import StrictRequest

_MOST_CHARACTERS = TextLimits().max_characters
_INT32_MAX = 2**31 - 1
# What a tensor can hold; what a picture may have, its family says.
Count = Annotated[int | None, Field(ge=0, le=_INT32_MAX)]
Number = Annotated[float | None, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Seed = Annotated[int | None, Field(ge=-1, le=2**63 - 1)]
Name = Annotated[str | None, Field(max_length=64)]
Border = Annotated[int, Field(ge=0, le=_INT32_MAX)]
PREVIEW_EVERY = 5

_NOT_FOR_THE_PIPELINE = {"model", "image", "image_id", "mask_image", "labels", "analyze", "segment"}


class GenerateRequest(StrictRequest):
    """Whatever is left out is the family's default; `/model/info` and a wrong value's answer tell the limits."""

    prompt: str = Field(min_length=1, max_length=_MOST_CHARACTERS, description="What to paint; (word:1.3) weighs.")
    negative_prompt: str | None = Field(None, max_length=_MOST_CHARACTERS, description="What to keep away from.")
    model: Name = Field(None, description="The family that is served.")
    steps: Count = Field(None, description="How many times the noise is predicted.")
    guidance_scale: Number = Field(None, description="How much the prompt counts.")
    width: Count = Field(None, description="Pixels, a multiple of 8.")
    height: Count = Field(None, description="Pixels, a multiple of 8.")
    seed: Seed = Field(None, description="Of the first picture; the next ones count up. -1: any.")
    scheduler: Name = Field(None, description="By name; a wrong one is answered with the list.")
    num_images: Count = Field(None, description="How many pictures.")
    image: str | None = Field(None, description="A picture to start from: base64, or a data URL.")
    image_id: str | None = Field(None, description="Instead of `image`, one of yours.")
    mask_image: str | None = Field(None, description="White where `image` is painted anew: base64, or a data URL.")
    strength: Number = Field(None, description="How far to go from `image`: 0 to 1.")
    keep_unmasked: bool | None = Field(None, description="Put the picture's own pixels back where the mask is black.")
    outpaint: list[Border] | None = Field(
        None, min_length=4, max_length=4, description="Pixels to add to `image`: left, top, right, bottom."
    )
    variation_seed: Seed = Field(None, description="The seed to walk towards.")
    variation_strength: Number = Field(None, description="How far to walk: 0 to 1.")
    guidance_rescale: Number = Field(None, description="Against the glare of strong guidance: 0 to 1.")
    guidance_end: Number = Field(None, description="The share of the steps with guidance: 0 to 1.")
    clip_skip: Count = Field(None, description="Layers of the text encoder to leave out.")
    preview_every: Count = Field(
        None, description=f"A preview every so many steps of a stream; 0: none. Without it: {PREVIEW_EVERY}."
    )
    output_format: Literal["png", "jpeg", "webp"] = "png"
    labels: LabelsField = None
    analyze: bool = Field(True, description="Say what the first picture shows.")
    segment: bool = Field(True, description="And which regions it has.")

    async def pictures(self) -> dict[str, bytes]:
        """Those that came with the request, by the names of the pipeline's inputs."""
        given = (("init_image", "image", self.image), ("mask_image", "mask_image", self.mask_image))
        return {name: await read_base64_picture(text, field) for name, field, text in given if text is not None}

    def without_pictures(self) -> dict[str, Any]:
        """As it came, for a row of the database."""
        return self.model_dump(exclude_unset=True, exclude={"image", "mask_image"})

    def order_with(self, pictures: Mapping[str, bytes], *, is_streamed: bool) -> Order:
        wishes = self.model_dump(exclude_none=True, exclude=_NOT_FOR_THE_PIPELINE | {"preview_every"})
        wishes |= pictures
        if is_streamed:
            wishes["preview_every"] = PREVIEW_EVERY if self.preview_every is None else self.preview_every
        return Order(wishes, self.labels, self.analyze, self.segment, self._parent(pictures))

    def _parent(self, pictures: Mapping[str, bytes]) -> Parent | None:
        if self.image_id is None:
            return None
        return Parent(self.image_id, "edited_from" if "mask_image" in pictures else "made_from")


class GeneratedImage(BaseModel):
    id: str
    url: str
    seed: int
    variation_seed: int | None = Field(
        None, description="Of the noise that it was varied towards, in a walk from `seed`'s."
    )
    width: int
    height: int


class GenerateAnswer(BaseModel):
    """`generated_image`, `image_id` and what was seen are of the first of `images`."""

    request_id: str
    image_id: str
    generated_image: str = Field(description="The encoded picture, in base64.")
    images: list[GeneratedImage]
    seed: int
    clip_analysis: ClipAnalysis
    clip_scores: list[ClassScore]
    basic_segmentation: BasicSegmentation
    warnings: list[str] = Field(
        description="Words of the prompt that were more than the model reads, and were cut. And why nothing is told of "
        "what the picture shows, where that failed: the picture is kept all the same."
    )
    timings_ms: dict[str, float]


class Progress(BaseModel):
    """What `event: progress` of a stream holds."""

    index: int
    step: int
    steps: int
    eta_s: float
    preview: str | None


def generate_answer(request_id: str, generated: Generated) -> GenerateAnswer:
    first, analysis = generated.images[0], generated.analysis
    images = [_listed(image) for image in generated.images]
    return GenerateAnswer(
        request_id=request_id,
        image_id=first.id,
        generated_image=write_base64(generated.pictures[0]),
        images=images,
        seed=images[0].seed,
        clip_analysis=clip_analysis(analysis.concepts),
        clip_scores=class_scores(analysis.concepts),
        basic_segmentation=basic_segmentation(analysis),
        warnings=list(generated.warnings),
        timings_ms=dict(generated.timings_ms),
    )


def progress(step: Step) -> Progress:
    preview = None if step.preview is None else write_base64(step.preview)
    return Progress(index=step.index, step=step.step, steps=step.steps, eta_s=step.eta_s, preview=preview)


def _listed(image: Image) -> GeneratedImage:
    assert image.seed is not None, "what was painted has a seed"
    return GeneratedImage(
        id=image.id,
        url=f"/images/{image.id}/file",
        seed=image.seed,
        variation_seed=image.params.get("parameters", {}).get("variation_seed"),
        width=image.width,
        height=image.height,
    )
