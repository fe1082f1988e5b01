"""Bytes under the name of their SHA-256, on disk or in S3. Knows no database and nothing of what the bytes mean."""

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from modelcore.errors import NotFound, SetupProblem, Unavailable

_CONNECT_TIMEOUT = timedelta(seconds=5)
_TIMEOUT = timedelta(seconds=30)
# What the store may raise: its own errors, and plain OSErrors for a full disk or a missing file.
_TROUBLE = (BaseError, OSError)

log = logging.getLogger(__name__)


def open_objects(url: str | None, folder: Path) -> "Objects":
    """A bucket `s3://bucket/prefix`, with its credentials in the usual AWS_ variables; without a URL, the folder."""
    if url is None:
        return Objects(LocalStore(folder, mkdir=True), folder)
    if not url.startswith("s3://"):
        raise SetupProblem(f"the object store must be s3://BUCKET/PREFIX, or none for a local folder: {url}")
    store = S3Store.from_url(
        url,
        # http only where the operator's own endpoint says http; Amazon's never does.
        client_options={"connect_timeout": _CONNECT_TIMEOUT, "timeout": _TIMEOUT, "allow_http": True},
        retry_config={"max_retries": 3, "retry_timeout": _TIMEOUT},
    )
    return Objects(store)


class Objects:
    def __init__(self, store: ObjectStore, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder
        self._synced_folders: set[Path] = set()  # at most 256

    async def put(self, data: bytes) -> str:
        sha256 = await asyncio.to_thread(sha256_of, data)
        await self.put_named(sha256, data)
        return sha256

    async def put_named(self, sha256: str, data: bytes) -> None:
        """On return the bytes are safe: a local file and its folder are on the disk, not only in its cache."""
        with _trouble("the picture store takes nothing"):
            try:
                await obstore.put_async(self._store, _key(sha256), data, mode="create")
            except AlreadyExistsError:
                await self._mend(sha256, data)
            if self._folder is not None:
                await self._sync(self._folder / _key(sha256))

    async def get(self, sha256: str) -> bytes:
        with _trouble("the picture store does not answer"):
            data = await self._read(sha256)
        if await asyncio.to_thread(sha256_of, data) != sha256:
            raise _damaged(sha256)
        return data

    async def stream(self, sha256: str) -> AsyncIterator[bytes]:
        """Holds the last piece back until all of them add up: damaged bytes end early instead of looking whole."""
        digest, held = hashlib.sha256(), b""
        with _trouble("the picture store does not answer"):
            found = await obstore.get_async(self._store, _key(sha256))
            async for piece in found.stream():
                if held:
                    yield held
                held = bytes(piece)
                digest.update(held)
        if digest.hexdigest() != sha256:
            raise _damaged(sha256)
        yield held

    async def delete(self, sha256: str) -> None:
        """What is not there is deleted already."""
        with _trouble("the picture store deletes nothing"):
            try:
                await obstore.delete_async(self._store, _key(sha256))
            except FileNotFoundError:
                return

    async def names(self) -> set[str]:
        """Every SHA-256 that has bytes, for checks."""
        with _trouble("the picture store does not answer"):
            pages = [page async for page in obstore.list(self._store)]
        return {item["path"].rpartition("/")[2] for page in pages for item in page}

    async def remove_unfinished(self, older_than_s: float) -> int:
        """A kill within `put` leaves its temporary file on the disk; a bucket has none."""
        if self._folder is None:
            return 0
        return await asyncio.to_thread(_remove_staged, self._folder, time.time() - older_than_s)

    async def _sync(self, path: Path) -> None:
        """The file, the folder that names it, and once for each such folder the one that names the folder."""
        folders = [path.parent] if path.parent in self._synced_folders else [path.parent, path.parent.parent]
        await asyncio.to_thread(_sync, [path, *folders])
        self._synced_folders.add(path.parent)

    async def _read(self, sha256: str) -> bytes:
        found = await obstore.get_async(self._store, _key(sha256))
        return bytes(await found.bytes_async())

    async def _mend(self, sha256: str, data: bytes) -> None:
        """A power cut may have left the name with half its bytes, and a disk may have flipped one."""
        if await self._read(sha256) != data:
            log.warning("the stored bytes of %s were damaged and are written again", sha256)
            await obstore.put_async(self._store, _key(sha256), data, mode="overwrite")


@contextmanager
def _trouble(detail: str) -> Iterator[None]:
    """The store's own errors as ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("these bytes are not stored") from error
    except _TROUBLE as error:
        log.error("%s: %s", detail, error)
        raise Unavailable(f"{detail} at the moment", retry_after_s=5) from error


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


def _damaged(sha256: str) -> Unavailable:
    log.error("the stored bytes of %s are damaged: they do not have that SHA-256", sha256)
    return Unavailable("the stored picture is damaged", retry_after_s=3600)


def _sync(paths: Iterable[Path]) -> None:
    for each in paths:
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_staged(folder: Path, before: float) -> int:
    # The store writes NAME#1, NAME#2, ... and links it to NAME when it is whole.
    staged = [path for path in folder.glob("*/*#*") if path.stat().st_mtime < before]
    for path in staged:
        path.unlink(missing_ok=True)
    return len(staged)
