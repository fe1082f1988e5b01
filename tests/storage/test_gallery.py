"""The gallery on both databases: what is kept, found, paged, judged, deleted, and who may."""

import io

import pytest
from PIL import Image as Pillow

from modelcore.errors import InvalidInput, NotFound
from orchestrator.gallery.pictures import Image, NewPicture, Parent
from orchestrator.gallery.search import ImageFilter
from orchestrator.gallery.service import Gallery
from orchestrator.storage.database import Database
from orchestrator.storage.objects import Objects
from orchestrator.storage.shelf import Shelf
from tests.storage.pictures import picture, png

ME, OTHER = "key:me", "key:other"
NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def gallery(database: Database, shelf: Shelf) -> Gallery:
    return Gallery(database, shelf)


async def add(gallery: Gallery, *pictures: NewPicture, owner: str = ME) -> list[Image]:
    return await gallery.add(owner, pictures)


def ids(images: tuple[Image, ...] | list[Image]) -> list[str]:
    return [image.id for image in images]


async def prompts(gallery: Gallery, **wanted: object) -> set[str]:
    page = await gallery.page(ME, ImageFilter(**wanted))  # type: ignore[arg-type]
    return {image.prompt for image in page.images}


async def test_everything_known_of_a_picture_is_kept(gallery: Gallery) -> None:
    new = picture(
        "red",
        prompt="Ein großer Kreis 🟥",
        negative_prompt="blue",
        family="demo",
        model="demo@1",
        seed=2**63 - 1,
        params={"steps": 20, "guidance_scale": 7.5},
    )
    image = await gallery.get(ME, (await add(gallery, new))[0].id)
    assert (image.prompt, image.negative_prompt, image.family, image.model) == (
        "Ein großer Kreis 🟥",
        "blue",
        "demo",
        "demo@1",
    )
    assert (image.seed, image.params) == (2**63 - 1, {"steps": 20, "guidance_scale": 7.5})
    assert (image.width, image.height, image.media_type, image.size_bytes) == (40, 24, "image/png", len(new.data))
    assert (image.feedback, image.note, image.parent_id, image.kind) == (0, "", None, "generated")


async def test_the_bytes_come_back_unchanged(gallery: Gallery) -> None:
    image = (await add(gallery, picture("red")))[0]
    assert await gallery.read(image) == png("red")
    assert b"".join([piece async for piece in gallery.stream(image)]) == png("red")


async def test_a_thumbnail_is_small_and_shows_the_same(gallery: Gallery) -> None:
    image = (await add(gallery, picture("red", 1024, 512)))[0]
    with Pillow.open(io.BytesIO(await gallery.read_bytes(image.thumbnail_sha256))) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (256, 128))
        red, green, blue = thumbnail.convert("RGB").getpixel((128, 64))  # type: ignore[misc]
    assert (red > 240, green < 16, blue < 16) == (True, True, True)


async def test_bytes_that_are_no_picture_are_refused(gallery: Gallery) -> None:
    with pytest.raises(InvalidInput):
        await add(gallery, NewPicture(png("red")[:40]))


async def test_the_last_image_is_the_callers_own(gallery: Gallery) -> None:
    mine = (await add(gallery, picture("red")))[0]
    await add(gallery, picture("blue"), owner=OTHER)
    assert (await gallery.last(ME)).id == mine.id


async def test_a_caller_without_pictures_has_no_last_one(gallery: Gallery) -> None:
    with pytest.raises(NotFound, match="no picture yet"):
        await gallery.last(ME)


async def test_anothers_picture_is_as_if_it_did_not_exist(gallery: Gallery) -> None:
    image = (await add(gallery, picture("red"), owner=OTHER))[0]
    messages = set()
    for name in (image.id, NOWHERE):
        for refused in (
            gallery.get(ME, name),
            gallery.delete(ME, name),
            gallery.give_feedback(ME, name, 1),
            gallery.lineage(ME, name),
        ):
            with pytest.raises(NotFound) as error:
                await refused
            messages.add(error.value.detail)
    assert messages == {"there is no such picture"}
    assert (await gallery.page(ME)).images == ()


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("red", {"A RED circle", "a red_square, reddish"}),
        ("circle red", {"A RED circle"}),
        ("squ", {"a red_square, reddish"}),
        ("ed", set()),
        ("%", set()),
        ("straße", {"eine Straße"}),
        ("STRASSE", {"eine Straße"}),
        ("円", {"赤い円"}),
        ("  ", {"A RED circle", "a red_square, reddish", "eine Straße", "赤い円", "100% bored"}),
    ],
)
async def test_search_is_by_the_beginnings_of_words(gallery: Gallery, search: str, found: set[str]) -> None:
    texts = ("A RED circle", "a red_square, reddish", "eine Straße", "赤い円", "100% bored")
    await add(gallery, *(picture("red", prompt=text) for text in texts))
    assert await prompts(gallery, words=search) == found


async def test_filters_are_all_met(gallery: Gallery) -> None:
    wide, tall = (
        picture("red", 40, 24, prompt="wide", family="demo"),
        picture("red", 24, 40, prompt="tall", family="sd"),
    )
    first, _ = await add(gallery, wide, tall)
    await gallery.give_feedback(ME, first.id, 1, "good")
    assert await prompts(gallery, family="demo") == {"wide"}
    assert await prompts(gallery, width=24, height=40) == {"tall"}
    assert await prompts(gallery, feedback=1) == {"wide"}
    assert await prompts(gallery, feedback=0, family="demo") == set()
    assert await prompts(gallery, from_ms=first.created_at_ms) >= {"wide"}
    assert await prompts(gallery, before_ms=first.created_at_ms) == set()


async def test_pages_go_on_where_they_ended_while_pictures_come_and_go(gallery: Gallery) -> None:
    images = [(await add(gallery, picture("red", prompt=str(number))))[0] for number in range(7)]
    newest_first = ids(images)[::-1]
    first = await gallery.page(ME, limit=3)
    await add(gallery, picture("blue"))
    await gallery.delete(ME, first.images[-1].id)
    second = await gallery.page(ME, cursor=first.next_cursor, limit=3)
    third = await gallery.page(ME, cursor=second.next_cursor, limit=3)
    assert [ids(page.images) for page in (first, second, third)] == [
        newest_first[:3],
        newest_first[3:6],
        newest_first[6:],
    ]
    assert third.next_cursor is None


async def test_pictures_of_one_moment_are_on_one_page_each(gallery: Gallery) -> None:
    images = await add(gallery, *(picture("red") for _ in range(10)))
    seen: list[str] = []
    cursor = None
    while len(seen) < 10:
        page = await gallery.page(ME, cursor=cursor, limit=1)
        seen += ids(page.images)
        cursor = page.next_cursor
    assert (sorted(seen), cursor) == (sorted(ids(images)), None)


@pytest.mark.parametrize("cursor", ["", "x", "!!", "MTIz", "é", "AAAA" * 1000])
async def test_a_cursor_that_no_page_gave_is_refused(gallery: Gallery, cursor: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await gallery.page(ME, cursor=cursor)
    assert refused.value.field == "cursor"


@pytest.mark.parametrize("limit", [0, -1, 101])
async def test_a_page_has_between_1_and_100_pictures(gallery: Gallery, limit: int) -> None:
    with pytest.raises(InvalidInput, match="between 1 and 100"):
        await gallery.page(ME, limit=limit)


async def test_lineage_goes_up_to_the_first_and_down_to_the_next(gallery: Gallery) -> None:
    root = (await add(gallery, picture("red")))[0]
    child = (await add(gallery, picture("blue", parent=Parent(root.id, "variation_of"))))[0]
    grandchild = (await add(gallery, picture("green", parent=Parent(child.id, "edited_from"))))[0]
    assert ids((await gallery.lineage(ME, grandchild.id)).ancestors) == [child.id, root.id]
    assert ids((await gallery.lineage(ME, root.id)).children) == [child.id]
    assert (grandchild.relation, child.relation) == ("edited_from", "variation_of")


async def test_anothers_picture_cannot_be_a_parent(gallery: Gallery) -> None:
    theirs = (await add(gallery, picture("red"), owner=OTHER))[0]
    mine = (await add(gallery, picture("blue", parent=Parent(theirs.id, "made_from"))))[0]
    assert mine.parent_id is None


async def test_a_child_outlives_its_parent(gallery: Gallery) -> None:
    root = (await add(gallery, picture("red")))[0]
    child = (await add(gallery, picture("blue", parent=Parent(root.id, "variation_of"))))[0]
    await gallery.delete(ME, root.id)
    assert (await gallery.get(ME, child.id)).parent_id is None


async def test_a_deleted_picture_and_its_bytes_are_gone(gallery: Gallery, shelf: Shelf, objects: Objects) -> None:
    image = (await add(gallery, picture("red")))[0]
    await gallery.delete(ME, image.id)
    with pytest.raises(NotFound):
        await gallery.get(ME, image.id)
    await shelf.sweep(grace_s=0.0)
    assert await objects.names() == set()


async def test_bytes_that_another_picture_shows_stay(gallery: Gallery, shelf: Shelf) -> None:
    mine, theirs = (await add(gallery, picture("red")))[0], (await add(gallery, picture("red"), owner=OTHER))[0]
    await gallery.delete(ME, mine.id)
    await shelf.sweep(grace_s=0.0)
    assert await gallery.read(theirs) == png("red")


async def test_feedback_is_kept_and_may_be_changed(gallery: Gallery) -> None:
    image = (await add(gallery, picture("red")))[0]
    await gallery.give_feedback(ME, image.id, 1, "lovely")
    changed = await gallery.give_feedback(ME, image.id, -1)
    assert (changed.feedback, changed.note) == (-1, "")
    assert await gallery.get(ME, image.id) == changed


@pytest.mark.parametrize(("feedback", "note"), [(2, ""), (-2, ""), (1, "x" * 2001)])
async def test_feedback_out_of_range_is_refused(gallery: Gallery, feedback: int, note: str) -> None:
    image = (await add(gallery, picture("red")))[0]
    with pytest.raises(InvalidInput):
        await gallery.give_feedback(ME, image.id, feedback, note)
