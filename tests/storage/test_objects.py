"""Content-addressed bytes on the disk: safe, checked, mended."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from modelcore.errors import NotFound, SetupProblem, Unavailable
from orchestrator.storage.objects import Objects, open_objects

DATA = bytes(range(256)) * 4000
NAME = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "objects" / NAME[:2] / NAME


async def streamed(objects: Objects, name: str) -> bytes:
    return b"".join([piece async for piece in objects.stream(name)])


async def test_bytes_come_back_under_their_sha256(objects: Objects, file: Path) -> None:
    assert await objects.put(DATA) == NAME
    assert await objects.get(NAME) == DATA
    assert await streamed(objects, NAME) == DATA
    assert file.read_bytes() == DATA


async def test_the_same_bytes_many_times_at_once_are_stored_once(objects: Objects) -> None:
    assert await asyncio.gather(*(objects.put(DATA) for _ in range(20))) == [NAME] * 20
    assert await objects.names() == {NAME}


async def test_the_file_and_its_folders_are_on_the_disk_before_put_returns(
    objects: Objects, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    await objects.put(DATA)
    assert synced == [str(file), str(file.parent), str(file.parent.parent)]


async def test_a_flipped_bit_is_found_before_anybody_sees_the_picture(objects: Objects, file: Path) -> None:
    await objects.put(DATA)
    file.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(Unavailable, match="damaged"):
        await objects.get(NAME)


async def test_a_stream_of_damaged_bytes_never_looks_whole(objects: Objects, file: Path) -> None:
    await objects.put(DATA)
    file.write_bytes(b"?" + DATA[1:])
    seen: list[bytes] = []

    async def read() -> None:
        async for piece in objects.stream(NAME):
            seen.append(piece)

    with pytest.raises(Unavailable, match="damaged"):
        await read()
    assert sum(map(len, seen)) < len(DATA)


async def test_damaged_bytes_are_mended_by_the_next_put(objects: Objects, file: Path) -> None:
    await objects.put(DATA)
    file.write_bytes(b"")
    await objects.put(DATA)
    assert await objects.get(NAME) == DATA


async def test_what_is_not_stored_is_not_found(objects: Objects) -> None:
    with pytest.raises(NotFound):
        await objects.get(NAME)


async def test_deleting_twice_is_deleting(objects: Objects, file: Path) -> None:
    await objects.put(DATA)
    await objects.delete(NAME)
    await objects.delete(NAME)
    assert not file.exists()


async def test_no_room_on_the_disk_is_unavailable(tmp_path: Path) -> None:
    objects = open_objects(None, tmp_path / "objects")
    (tmp_path / "objects" / NAME[:2]).write_bytes(b"a file where the folder should be")
    with pytest.raises(Unavailable, match="takes nothing"):
        await objects.put(DATA)


async def test_leftovers_of_a_kill_are_removed_once_they_are_old(objects: Objects, file: Path) -> None:
    await objects.put(DATA)
    file.with_name(f"{NAME}#1").write_bytes(DATA[:10])
    assert await objects.remove_unfinished(older_than_s=3600) == 0
    assert await objects.remove_unfinished(older_than_s=-1) == 1
    assert await objects.names() == {NAME}


def test_an_object_store_we_do_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match="s3://"):
        open_objects("ftp://host/folder", tmp_path)
