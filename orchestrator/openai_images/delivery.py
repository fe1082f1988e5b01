"""How what was painted is handed over: as base64 or by link, at once or as events. Knows no HTTP."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.generate.painter import Step
from orchestrator.openai_images.answers import (
    EventKind,
    ImagesAnswer,
    MadeImage,
    image_event,
    size_text,
    usage_body,
)
from orchestrator.openai_images.previews import enlarged, preview_steps
from orchestrator.openai_images.schemas import ImagesRequest, PaintRequest
from orchestrator.openai_images.service import Made
from orchestrator.pictures.base64_pictures import write_base64

UrlOf = Callable[[str], str]  # of a picture's id


@dataclass(frozen=True)
class Delivery:
    is_linked: bool
    quality: str
    output_format: str
    partial_images: int
    revised_prompt: str | None

    @classmethod
    def of(cls, wishes: ImagesRequest, revised_prompt: str | None = None) -> "Delivery":
        if not isinstance(wishes, PaintRequest):
            return cls(wishes.is_linked, "medium", "png", 0, revised_prompt)
        partial_images = wishes.partial_images or 0
        return cls(wishes.is_linked, wishes.told_quality, wishes.told_format, partial_images, revised_prompt)

    def answer(self, made: Made, url_of: UrlOf) -> ImagesAnswer:
        data = []
        for image, picture in zip(made.images, made.pictures, strict=True):
            item = MadeImage(revised_prompt=self.revised_prompt, seed=image.seed or 0, image_id=image.id)
            self.fill(item, picture, url_of)
            data.append(item)
        first = made.images[0]
        return ImagesAnswer(
            created=int(time.time()),
            data=data,
            output_format=self.output_format,
            quality=self.quality,
            size=size_text(first.width, first.height),
            usage=usage_body(made.usage),
            warnings=list(made.warnings),
        )

    def fill(self, item: MadeImage, picture: bytes, url_of: UrlOf) -> None:
        if self.is_linked:
            item.url = url_of(item.image_id)
        else:
            item.b64_json = write_base64(picture)

    def wants_preview(self, step: Step) -> bool:
        return step.preview is not None and step.step in preview_steps(self.partial_images, step.steps)

    async def partial(self, kind: EventKind, step: Step, number: int) -> dict[str, Any]:
        picture, width, height = await asyncio.to_thread(enlarged, step.preview or b"", self.output_format)
        return self._event(kind, "partial_image", picture, width, height) | {"partial_image_index": number}

    def completed(self, kind: EventKind, made: Made) -> dict[str, Any]:
        image, usage = made.images[0], usage_body(made.usage)
        told = self._event(kind, "completed", made.pictures[0], image.width, image.height)
        own = {"seed": image.seed, "image_id": image.id, "warnings": list(made.warnings)}
        return told | {"usage": usage.model_dump() if usage else None} | own

    def _event(self, kind: EventKind, stage: str, picture: bytes, width: int, height: int) -> dict[str, Any]:
        return image_event(
            kind,
            stage,
            picture,
            size=size_text(width, height),
            quality=self.quality,
            output_format=self.output_format,
        )
