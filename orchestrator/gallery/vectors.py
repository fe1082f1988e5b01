"""Nearest pictures by embedding. The rows are the truth; a FAISS index is a cache of them that may be lost at any time.

There is no file: a flipped bit in a FAISS file loads without a word, and the rows rebuild an index of 10,000 in
about a second. Every search first compares a fingerprint of the rows, so that what other processes add, embed or
delete is seen at once.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from modelcore.errors import InvalidInput
from orchestrator.gallery.pictures import Embedding
from orchestrator.storage.cursors import SCORE_DIGITS
from orchestrator.storage.tables import ImageRow

MAX_CACHED_VECTORS = 500_000  # a gigabyte, at 512 floats each
_ROWS_AT_ONCE = 1_000
_Fingerprint = tuple[Any, ...]


@dataclass(frozen=True)
class Wanted:
    """The `limit` nearest; only those behind the place `after`, and `among` these ids only, where these are given."""

    query: Embedding
    limit: int
    after: tuple[float, str] | None = None
    among: Collection[str] | None = None


class VectorIndexes:
    """One index per owner and embedding model; the least recently used are dropped first."""

    def __init__(self, max_vectors: int = MAX_CACHED_VECTORS) -> None:
        self._max_vectors = max_vectors
        self._indexes: OrderedDict[tuple[str, str], _Index] = OrderedDict()

    async def nearest(self, connection: AsyncConnection, owner: str, wanted: "Wanted") -> list[tuple[float, str]]:
        """Cosines and image ids, the most alike first and the equally alike in the order of their ids."""
        index = self._index(owner, wanted.query.model)
        async with index.lock:  # a search must not meet an index that is being changed
            await index.refresh(connection)
            found = await asyncio.to_thread(index.nearest, wanted)
        self._drop_old()
        return found

    def _index(self, owner: str, model: str) -> "_Index":
        index = self._indexes.setdefault((owner, model), _Index(owner, model))
        self._indexes.move_to_end((owner, model))
        return index

    def _drop_old(self) -> None:
        while len(self._indexes) > 1 and sum(len(index) for index in self._indexes.values()) > self._max_vectors:
            self._indexes.popitem(last=False)


class _Index:
    def __init__(self, owner: str, model: str) -> None:
        self.lock = asyncio.Lock()
        self._where = (ImageRow.owner == owner, ImageRow.embedding_model == model)
        self._fingerprint: _Fingerprint = ()
        self._vectors: Any = None  # a faiss.IndexIDMap2, once the vectors' width is known
        self._numbers: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        self._next_number = 0

    def __len__(self) -> int:
        return len(self._numbers)

    async def refresh(self, connection: AsyncConnection) -> None:
        fingerprint = await self._read_fingerprint(connection)
        if fingerprint == self._fingerprint:
            return
        stored = set((await connection.scalars(select(ImageRow.id).where(*self._where))).all())
        self._forget([image_id for image_id in self._numbers if image_id not in stored])
        missing = sorted(stored - self._numbers.keys())
        for start in range(0, len(missing), _ROWS_AT_ONCE):
            await self._learn(connection, missing[start : start + _ROWS_AT_ONCE])
        self._fingerprint = fingerprint

    def nearest(self, wanted: Wanted) -> list[tuple[float, str]]:
        """Looks ever further until nothing that is as near as the last one can be missing."""
        if not self._numbers:
            return []
        vector = self._fitting(wanted.query)
        selection = None if wanted.among is None else self._only(wanted.among)
        look_at = wanted.limit + 1
        while True:
            found = self._search(vector, look_at, selection)
            behind = [pair for pair in found if wanted.after is None or _order(pair) > _order(wanted.after)]
            page = behind[: wanted.limit]
            if len(found) < look_at or (len(page) == wanted.limit and found[-1][0] < page[-1][0]):
                return page
            look_at *= 8

    def _fitting(self, query: Embedding) -> NDArray[np.float32]:
        vector = np.frombuffer(query.as_bytes(), dtype="<f4").reshape(1, -1)
        if vector.shape[1] != self._vectors.d:
            raise InvalidInput(f"an embedding of {query.model} has {self._vectors.d} numbers: {vector.shape[1]}")
        return vector

    def _search(self, vector: NDArray[np.float32], count: int, selection: Any) -> list[tuple[float, str]]:
        # One thread: a gallery's search takes less than a millisecond, and waking OpenMP's others took up to 60
        # (10,000 x 512 on two busy cores). The setting belongs to the thread that we happen to be in.
        faiss.omp_set_num_threads(1)
        scores, numbers = self._vectors.search(vector, min(count, len(self)), params=selection)
        pairs = zip(scores[0].tolist(), numbers[0].tolist(), strict=True)
        found = [(round(score, SCORE_DIGITS), self._ids[number]) for score, number in pairs if number >= 0]
        return sorted(found, key=_order)

    def _only(self, among: Collection[str]) -> Any:
        numbers = [self._numbers[image_id] for image_id in among if image_id in self._numbers]
        return faiss.SearchParameters(sel=faiss.IDSelectorBatch(np.array(numbers, dtype=np.int64)))  # type: ignore[call-arg]

    async def _read_fingerprint(self, connection: AsyncConnection) -> _Fingerprint:
        row = await connection.execute(select(func.count(), func.sum(ImageRow.embedding_mark)).where(*self._where))
        return tuple(row.one())

    async def _learn(self, connection: AsyncConnection, image_ids: Sequence[str]) -> None:
        # On PostgreSQL another process may have deleted one meanwhile, or embedded it with another CLIP.
        wanted = select(ImageRow.id, ImageRow.embedding).where(*self._where, ImageRow.id.in_(image_ids))
        rows = (await connection.execute(wanted)).all()
        if not rows:
            return
        vectors = np.stack([np.frombuffer(row.embedding, dtype="<f4") for row in rows]).astype(np.float32)
        numbers = np.arange(self._next_number, self._next_number + len(rows), dtype=np.int64)
        self._next_number += len(rows)
        self._add(vectors, numbers)
        for row, number in zip(rows, numbers.tolist(), strict=True):
            self._numbers[row.id] = number
            self._ids[number] = row.id

    def _add(self, vectors: NDArray[np.float32], numbers: NDArray[np.int64]) -> None:
        if self._vectors is None:
            self._vectors = faiss.IndexIDMap2(faiss.IndexFlatIP(vectors.shape[1]))
        self._vectors.add_with_ids(vectors, numbers)

    def _forget(self, image_ids: Sequence[str]) -> None:
        if image_ids:
            numbers = [self._numbers.pop(image_id) for image_id in image_ids]
            self._vectors.remove_ids(np.array(numbers, dtype=np.int64))
            for number in numbers:
                del self._ids[number]


def _order(pair: tuple[float, str]) -> tuple[float, str]:
    score, image_id = pair
    return -score, image_id
