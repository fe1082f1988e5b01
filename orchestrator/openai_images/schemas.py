"""OpenAI's shapes of a request for pictures. Fields that we do not know are ignored, as OpenAI's clients expect."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from modelcore.errors import NotSupported
from modelcore.family import Diffusion
from modelcore.text.limits import TextLimits
from orchestrator.generate.schemas import Count, Name, Number, Seed
from orchestrator.openai_images.wishes import quality_of, size_of, steps_of

_MOST_CHARACTERS = TextLimits().max_characters
_PIPELINES_OWN = ("negative_prompt", "seed", "steps", "guidance_scale", "scheduler")
Prompt = Annotated[str, Field(min_length=1, max_length=_MOST_CHARACTERS, description="What to paint.")]


class ImagesRequest(BaseModel):
    """What all three have in common. null is the same as nothing."""

    model_config = ConfigDict(strict=True, extra="ignore")

    model: Name = Field(None, description="A name that /v1/models lists. Without it: the family that is served.")
    n: int | None = Field(None, ge=1, le=10, description="How many pictures.")
    size: str | None = Field(
        None,
        pattern=r"^(auto|[1-9]\d{0,4}x[1-9]\d{0,4})$",
        description="WIDTHxHEIGHT; auto: the family's own size, or that of `image`.",
    )
    response_format: Literal["b64_json", "url"] | None = Field(None, description="b64_json is the default.")
    user: str | None = Field(None, max_length=_MOST_CHARACTERS, description="Ignored.")
    negative_prompt: str | None = Field(None, max_length=_MOST_CHARACTERS, description="What to keep away from.")
    seed: Seed = Field(None, description="Of the first picture; the next ones count up.")
    steps: Count = Field(None, description="How many times the noise is predicted. Counts more than `quality`.")
    guidance_scale: Number = Field(None, description="How much the prompt counts.")
    scheduler: Name = Field(None, description="By name; a wrong one is answered with the list.")

    @property
    def wanted_size(self) -> tuple[int, int] | None:
        return size_of(self.size)

    @property
    def is_linked(self) -> bool:
        return self.response_format == "url"

    def wishes(self) -> dict[str, Any]:
        """In the pipeline's words, as far as they are told here."""
        size = self.wanted_size
        sized = {} if size is None else {"width": size[0], "height": size[1]}
        counted = {} if self.n is None else {"num_images": self.n}
        return self.model_dump(include=set(_PIPELINES_OWN), exclude_none=True) | sized | counted


class PaintRequest(ImagesRequest):
    """With words for what to paint, and how it is delivered."""

    prompt: Prompt
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] | None = Field(
        None, description="low paints half of the family's steps, high (hd) twice as many."
    )
    background: Literal["auto", "opaque"] | None = Field(None, description="No picture here is transparent.")
    output_format: Literal["png", "jpeg", "webp"] | None = Field(None, description="png is the default.")
    output_compression: int | None = Field(
        None, ge=0, le=100, description="Of a jpeg or webp: 0 is the smallest file, 100 the best picture."
    )
    stream: bool | None = Field(None, description="As server-sent events. One picture, as b64_json.")
    partial_images: int | None = Field(None, ge=0, le=3, description="Previews of a stream, evenly spread.")

    @property
    def told_quality(self) -> str:
        return quality_of(self.quality)

    @property
    def told_format(self) -> str:
        return self.output_format or "png"

    def check_stream(self) -> None:
        if self.stream and self.n not in (None, 1):
            raise NotSupported(f"n must be 1 where stream is true: {self.n}", field="n")
        if self.stream and self.is_linked:
            raise NotSupported("response_format must be b64_json where stream is true", field="response_format")

    def painting(self, diffusion: Diffusion) -> dict[str, Any]:
        """All of it in the pipeline's words."""
        painting: dict[str, Any] = {"prompt": self.prompt, "output_format": self.told_format}
        if self.quality not in (None, "auto"):
            painting["steps"] = steps_of(self.told_quality, diffusion)
        if self.output_compression is not None:
            painting["output_quality"] = self.output_compression
        if self.stream and self.partial_images:
            painting["preview_every"] = 1  # each is microseconds' work; which are sent is decided as they come
        return painting | self.wishes()


class EditRequest(PaintRequest):
    strength: Number = Field(None, description="How far to go from `image`: 0 to 1. 1 where there is a mask.")

    def painting(self, diffusion: Diffusion) -> dict[str, Any]:
        return super().painting(diffusion) | ({} if self.strength is None else {"strength": self.strength})


class VariationRequest(ImagesRequest):
    prompt: Prompt | None = Field(None, description="What the picture shows. Without it: what CLIP sees in it.")
    strength: Number = Field(None, description="How far to go from `image`: 0 to 1.")
