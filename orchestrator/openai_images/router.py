"""POST /v1/images/generations, /v1/images/edits, /v1/images/variations, and GET of the links they give."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response

from modelcore.errors import TriptychError
from orchestrator.context import current_request
from orchestrator.dependencies import CreatingCaller, gallery_service, idempotency, links, openai_images
from orchestrator.edge.event_stream import MEDIA_TYPE, EventStream, event
from orchestrator.edge.idempotency import KeyHeader, Memory, Recording, answered_once, read_key, refuse_key_of_stream
from orchestrator.edge.json_route import StrictJsonRoute
from orchestrator.edge.leaving import while_connected
from orchestrator.edge.own_answers import with_headers_of
from orchestrator.edge.scopes import needs
from orchestrator.edge.upload_form import read_upload_form, upload_body
from orchestrator.errors import as_openai_json, problem_of
from orchestrator.gallery.service import Gallery
from orchestrator.generate.order import Order
from orchestrator.generate.painter import Step
from orchestrator.jobs.idempotency import Idempotency, IdempotencyKey
from orchestrator.openai_images.answers import EventKind, ImagesAnswer
from orchestrator.openai_images.delivery import Delivery
from orchestrator.openai_images.examples import ANSWER, EDIT, REQUESTS, STREAM, VARIATION
from orchestrator.openai_images.links import LASTS_S, Links
from orchestrator.openai_images.schemas import EditRequest, PaintRequest, VariationRequest
from orchestrator.openai_images.service import Made, OpenAIImages
from orchestrator.schemas import Responses, openai_error_responses

router = APIRouter(route_class=StrictJsonRoute, tags=["OpenAI-compatible"])

Service = Annotated[OpenAIImages, Depends(openai_images)]
Events = AsyncGenerator[Step | Made, None]
_IMAGE_FIELDS = {"image": "image", "image[]": "image"}
_ERRORS = openai_error_responses(400, 404, 408, 409, 413, 429, 503)
_STREAM_TOO: Responses = {
    200: {
        "description": "The pictures; with `stream`, events.",
        "content": {
            "application/json": {"example": ANSWER},
            MEDIA_TYPE: {"example": STREAM},
        },
    }
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE: Responses = {
    200: {
        "description": "The picture's bytes.",
        "content": dict.fromkeys(("image/png", "image/jpeg", "image/webp"), _BINARY),
    }
}


class Answering:
    """What all three do once it is known what to paint."""

    def __init__(
        self,
        request: Request,
        response: Response,
        owner: CreatingCaller,
        service: Service,
        gallery: Annotated[Gallery, Depends(gallery_service)],
        links: Annotated[Links, Depends(links)],
        records: Annotated[Idempotency, Depends(idempotency)],
        idempotency_key: KeyHeader = None,  # read where it is needed, and described here
    ) -> None:
        self._request = request
        self._response = response
        self._owner = owner
        self._service = service
        self._gallery = gallery
        self._links = links
        self._records = records

    async def answer(self, order: Order, delivery: Delivery, key: IdempotencyKey | None) -> Any:
        if key is None:
            events = self._service.events(self._owner, order)
            return await while_connected(self._request, self._answered(events, delivery))
        memory = Memory(_without_pictures, partial(self._again, delivery))

        async def work(recording: Recording[ImagesAnswer]) -> Made:
            on_adding = recording.of(partial(delivery.answer, url_of=self._url))
            return await _last(self._service.events(self._owner, order, on_adding))

        answer = await answered_once(self._request, self._records, self._owner, key, work, memory)
        return with_headers_of(self._response, answer)

    async def stream(self, order: Order, delivery: Delivery, kind: EventKind, key: IdempotencyKey | None) -> Response:
        """A request that is refused is answered with its status: the stream begins with the first step."""
        refuse_key_of_stream(key)
        events = self._service.events(self._owner, order)
        first = await while_connected(self._request, anext(events))
        stream = EventStream(_told(kind, delivery, first, events), events)
        return with_headers_of(self._response, stream)

    async def _answered(self, events: Events, delivery: Delivery) -> ImagesAnswer:
        return delivery.answer(await _last(events), self._url)

    async def _again(self, delivery: Delivery, stored: bytes) -> ImagesAnswer:
        answer = ImagesAnswer.model_validate_json(stored)
        for item in answer.data:
            image = await self._gallery.get(self._owner, item.image_id)
            delivery.fill(item, await self._gallery.read(image), self._url)
        return answer

    def _url(self, image_id: str) -> str:
        return str(self._request.url_for("read_linked_image", token=self._links.make(self._owner, image_id)))


AnsweringTo = Annotated[Answering, Depends(Answering)]


@router.post("/v1/images/generations", response_model=ImagesAnswer, responses=_STREAM_TOO | _ERRORS)
@needs("create")
async def create_images(
    request: Request,
    wishes: Annotated[PaintRequest, Body(openapi_examples=REQUESTS)],
    service: Service,
    answering: AnsweringTo,
) -> Any:
    """Words to pictures. They are kept in your gallery, too."""
    key = await read_key(request)
    order, delivery = await service.generation(wishes), Delivery.of(wishes)
    if wishes.stream:
        return await answering.stream(order, delivery, "image_generation", key)
    return await answering.answer(order, delivery, key)


@router.post(
    "/v1/images/edits",
    response_model=ImagesAnswer,
    openapi_extra=upload_body(EditRequest, "image", "mask", example=EDIT),
    responses=_STREAM_TOO | _ERRORS,
)
@needs("create")
async def edit_image(request: Request, service: Service, answering: AnsweringTo) -> Any:
    """Paint a picture anew where the mask, or else the picture itself, is transparent; all of it where nothing is."""
    key = await read_key(request)
    wishes, files = await read_upload_form(request, EditRequest, _IMAGE_FIELDS | {"mask": "mask"})
    order, delivery = await service.edit(wishes, files["image"], files.get("mask")), Delivery.of(wishes)
    if wishes.stream:
        return await answering.stream(order, delivery, "image_edit", key)
    return await answering.answer(order, delivery, key)


@router.post(
    "/v1/images/variations",
    response_model=ImagesAnswer,
    openapi_extra=upload_body(VariationRequest, "image", example=VARIATION),
    responses=_ERRORS,
)
@needs("create")
async def vary_image(request: Request, service: Service, answering: AnsweringTo) -> Any:
    """Pictures like the one that is sent."""
    key = await read_key(request)
    wishes, files = await read_upload_form(request, VariationRequest, _IMAGE_FIELDS)
    order = await service.variation(wishes, files["image"])
    return await answering.answer(order, Delivery.of(wishes, revised_prompt=order.prompt), key)


@router.get("/v1/images/files/{token}", response_class=Response, responses=_FILE | openai_error_responses(404, 503))
@needs("read")
async def read_linked_image(
    token: str, links: Annotated[Links, Depends(links)], gallery: Annotated[Gallery, Depends(gallery_service)]
) -> Response:
    """A picture by the `url` of an answer: whoever has it needs no key, for an hour."""
    link = links.follow(token)
    image = await gallery.get(link.owner, link.image_id)
    headers = {"Cache-Control": f"private, max-age={LASTS_S}"}
    return Response(await gallery.read(image), media_type=image.media_type, headers=headers)


async def _last(events: Events) -> Made:
    async with aclosing(events):
        *_, last = [one async for one in events]
    assert isinstance(last, Made)
    return last


async def _told(kind: EventKind, delivery: Delivery, first: Step | Made, events: Events) -> AsyncGenerator[str, None]:
    previews = 0
    try:
        one: Step | Made | None = first
        while one is not None:
            if isinstance(one, Made):
                yield event(f"{kind}.completed", delivery.completed(kind, one))
            elif delivery.wants_preview(one):
                yield event(f"{kind}.partial_image", await delivery.partial(kind, one, previews))
                previews += 1
            one = await anext(events, None)
    except TriptychError as error:
        yield event("error", as_openai_json(problem_of(error), current_request.get().request_id))


def _without_pictures(answer: ImagesAnswer) -> bytes:
    bare = [item.model_copy(update={"b64_json": None, "url": None}) for item in answer.data]
    return answer.model_copy(update={"data": bare}).model_dump_json().encode()
