"""GET /images, GET and DELETE /images/{image_id}, GET /images/{image_id}/file, POST /feedback."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from modelcore.errors import InvalidInput
from orchestrator.dependencies import Caller, callers_pictures, gallery_service, similar_service
from orchestrator.edge.json_route import StrictJsonRoute
from orchestrator.edge.scopes import needs
from orchestrator.gallery.pictures import THUMBNAIL_TYPE
from orchestrator.gallery.service import Gallery
from orchestrator.gallery.similar import Similar
from orchestrator.images.schemas import (
    FeedbackRequest,
    ImageBody,
    ImageDetails,
    ImagesPage,
    ImagesQuery,
    image_body,
    image_details,
    images_page,
    matches_page,
)
from orchestrator.pictures.callers import CallersPictures, check_image_id
from orchestrator.schemas import Responses, problem_responses

router = APIRouter(route_class=StrictJsonRoute, tags=["Gallery"])
GalleryService = Annotated[Gallery, Depends(gallery_service)]
SimilarService = Annotated[Similar, Depends(similar_service)]
Pictures = Annotated[CallersPictures, Depends(callers_pictures)]

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE: Responses = {
    200: {
        "description": "The picture's bytes.",
        "content": dict.fromkeys(("image/png", "image/jpeg", "image/webp"), _BINARY),
        "headers": {"ETag": {"description": "The SHA-256 of the bytes.", "schema": {"type": "string"}}},
    },
    304: {"description": "The client has these bytes already."},
}


@router.get("/images", responses=problem_responses(404, 422, 503))
@needs("read")
async def list_images(
    query: Annotated[ImagesQuery, Query()], owner: Caller, gallery: GalleryService, similar: SimilarService
) -> ImagesPage:
    """Your pictures, the newest first; or the most alike to one of them, or to words."""
    page = (query.filter(), query.cursor, query.limit)
    if query.similar_to is not None and query.text is not None:
        raise InvalidInput("ask for what is similar to a picture or to a text, not both", field="text")
    if query.similar_to is not None:
        check_image_id(query.similar_to)
        return matches_page(await similar.to_picture(owner, query.similar_to, *page))
    if query.text is not None:
        return matches_page(await similar.to_words(owner, query.text, *page))
    return images_page(await gallery.page(owner, *page))


@router.get("/images/{image_id}", responses=problem_responses(404, 503))
@needs("read")
async def describe_image(image_id: str, owner: Caller, gallery: GalleryService, pictures: Pictures) -> ImageDetails:
    """One picture of yours: all it was made with, what it was made from, and what was made from it."""
    image = await pictures.named(owner, image_id)
    return image_details(image, await gallery.read(image), await gallery.lineage(owner, image_id))


@router.get("/images/{image_id}/file", response_class=Response, responses=_FILE | problem_responses(404, 503))
@needs("read")
async def read_image(
    request: Request, image_id: str, owner: Caller, gallery: GalleryService, pictures: Pictures
) -> Response:
    """The picture itself. Its bytes never change, so a cache may keep them as long as it likes."""
    image = await pictures.named(owner, image_id)
    return await _sent(request, image.object_sha256, image.media_type, gallery)


@router.get("/images/{image_id}/thumbnail", response_class=Response, responses=_FILE | problem_responses(404, 503))
@needs("read")
async def read_thumbnail(
    request: Request, image_id: str, owner: Caller, gallery: GalleryService, pictures: Pictures
) -> Response:
    """The picture made small, 256 pixels at the longer side, as WebP."""
    image = await pictures.named(owner, image_id)
    return await _sent(request, image.thumbnail_sha256, THUMBNAIL_TYPE, gallery)


@router.delete("/images/{image_id}", status_code=204, responses=problem_responses(404, 503))
@needs("create")
async def delete_image(image_id: str, owner: Caller, gallery: GalleryService) -> None:
    """Gone at once, and its bytes too, unless another picture of the gallery is the same."""
    check_image_id(image_id)
    await gallery.delete(owner, image_id)


@router.post("/feedback", responses=problem_responses(400, 404, 408, 413, 415, 422, 503))
@needs("create")
async def give_feedback(wishes: FeedbackRequest, owner: Caller, gallery: GalleryService) -> ImageBody:
    """What you think of a picture of yours: -1, 0 or 1, and a note."""
    check_image_id(wishes.image_id)
    return image_body(await gallery.give_feedback(owner, wishes.image_id, wishes.feedback, wishes.note))


async def _sent(request: Request, sha256: str, media_type: str, gallery: Gallery) -> Response:
    etag = f'"{sha256}"'
    headers = {"ETag": etag, "Cache-Control": "private, max-age=31536000, immutable"}
    if _has_it_already(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(await gallery.read_bytes(sha256), media_type=media_type, headers=headers)


def _has_it_already(if_none_match: str, etag: str) -> bool:
    """RFC 9110: compared weakly, and * is whatever there is."""
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return bool(tags & {etag, "*"})
