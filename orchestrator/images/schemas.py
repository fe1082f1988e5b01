"""Shapes of /images and /feedback. Times are milliseconds since 1970, as the database keeps them.

`created_at`, `params` and, of one picture, `image_data` stand beside what says the same: reference 002 has them so.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.gallery.pictures import Image
from orchestrator.gallery.search import ImageFilter
from orchestrator.gallery.service import MAX_NOTE, MAX_PAGE, Lineage, Page
from orchestrator.gallery.similar import Matches
from orchestrator.pictures.base64_pictures import write_base64
from orchestrator.schemas import StrictRequest

Milliseconds = Annotated[int | None, Field(ge=0, le=2**53)]
Pixels = Annotated[int | None, Field(ge=1, le=65_536)]
_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class ImagesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    search: str | None = Field(None, max_length=2_000, description="Words that the prompt must have, or their starts.")
    kind: str | None = Field(None, pattern=_NAME)
    family: str | None = Field(None, pattern=_NAME)
    feedback: int | None = Field(None, ge=-1, le=1)
    width: Pixels = None
    height: Pixels = None
    from_ms: Milliseconds = Field(None, description="Made at this time or later.")
    before_ms: Milliseconds = Field(None, description="Made before this time.")
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the page before.")
    limit: int = Field(20, ge=1, le=MAX_PAGE)
    similar_to: str | None = Field(None, description="Those most like this picture of yours first.")
    text: str | None = Field(
        None, min_length=1, max_length=2_000, description="Those most like these words first, whatever their prompts."
    )

    def filter(self) -> ImageFilter:
        wanted = self.model_dump(exclude={"search", "cursor", "limit", "similar_to", "text"})
        return ImageFilter(words=self.search, **wanted)


class ImageBody(BaseModel):
    """One picture of the gallery. `parameters` are all that it was made with."""

    id: str
    url: str
    thumbnail_url: str
    created_at: datetime
    created_at_ms: int
    kind: str
    prompt: str
    negative_prompt: str
    family: str
    seed: int | None
    width: int
    height: int
    media_type: str
    size_bytes: int
    parent_id: str | None
    relation: str | None
    feedback: int
    note: str
    params: dict[str, Any] = Field(description="Of `parameters`, what to ask for to get such a picture again.")
    parameters: dict[str, Any]


class Relative(BaseModel):
    """`relation` is how the younger of two pictures came from the older: variation_of, made_from, edited_from."""

    id: str
    url: str
    thumbnail_url: str
    relation: str | None


class ImageDetails(ImageBody):
    image_data: str = Field(description="The picture's file in base64; `url` has the file itself.")
    ancestors: list[Relative] = Field(description="The picture it was made from, then what that was made from.")
    children: list[Relative] = Field(description="What was made from it, the newest first; a hundred at most.")


class ListedImage(ImageBody):
    similarity: float | None = Field(description="Cosine, -1 to 1, to `similar_to` or `text`; null without them.")


class ImagesPage(BaseModel):
    images: list[ListedImage]
    next_cursor: str | None
    warnings: list[str] = Field(description="Whether `text` was more than CLIP reads, and was cut.")


class FeedbackRequest(StrictRequest):
    image_id: str
    feedback: int = Field(ge=-1, le=1)
    note: str = Field("", max_length=MAX_NOTE)


def image_body(image: Image) -> ImageBody:
    return ImageBody(**_values(image))


def image_details(image: Image, data: bytes, lineage: Lineage) -> ImageDetails:
    younger = (image, *lineage.ancestors)
    return ImageDetails(
        **_values(image),
        image_data=write_base64(data),
        ancestors=[_relative(old, young.relation) for young, old in zip(younger, lineage.ancestors, strict=False)],
        children=[_relative(child, child.relation) for child in lineage.children],
    )


def images_page(page: Page) -> ImagesPage:
    listed = [ListedImage(**_values(image), similarity=None) for image in page.images]
    return ImagesPage(images=listed, next_cursor=page.next_cursor, warnings=[])


def matches_page(page: Matches) -> ImagesPage:
    listed = [ListedImage(**_values(match.image), similarity=match.similarity) for match in page.matches]
    return ImagesPage(images=listed, next_cursor=page.next_cursor, warnings=list(page.warnings))


def _relative(image: Image, relation: str | None) -> Relative:
    return Relative(id=image.id, relation=relation, **_urls(image))


def _values(image: Image) -> dict[str, Any]:
    made = {
        "created_at": datetime.fromtimestamp(image.created_at_ms / 1000, UTC),
        "params": image.params.get("parameters", {}),
        "parameters": image.params,
    }
    own = {"url", "thumbnail_url", *made}
    same = {name: getattr(image, name) for name in ImageBody.model_fields if name not in own}
    return same | _urls(image) | made


def _urls(image: Image) -> dict[str, str]:
    return {"url": f"/images/{image.id}/file", "thumbnail_url": f"/images/{image.id}/thumbnail"}
