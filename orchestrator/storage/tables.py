"""Every table. Changing one needs a migration beside it: a test compares the two on both databases.

Times are whole milliseconds since 1970, from the database's clock. Ids are UUIDs as text, made by us.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Id = String(36)
Sha256 = String(64)
Owner = String(80)
Json = JSON(none_as_null=True)
_IS_COMPLETED = text("state = 'completed'")


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ObjectRow(Table):
    """Bytes that may lie in the object store. The row comes before its bytes and leaves after them."""

    __tablename__ = "objects"

    sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(64))
    touched_at_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class JobRow(Table):
    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'completed', 'failed', 'cancelled')", name="state"),
        CheckConstraint("(state = 'running') = (lease_token IS NOT NULL)", name="lease"),
        Index(None, "state", "owner", "priority", "created_at_ms"),
        Index(None, "owner", "created_at_ms", "id"),
        Index(None, "owner", "started_at_ms"),
        # Of completed jobs only: PostgreSQL, before it has counted its rows, would look for those that wait in here.
        Index(None, "kind", "finished_at_ms", postgresql_where=_IS_COMPLETED, sqlite_where=_IS_COMPLETED),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Owner)
    kind: Mapped[str] = mapped_column(String(40))
    priority: Mapped[int] = mapped_column(SmallInteger)
    request: Mapped[dict[str, Any]] = mapped_column(Json)
    cost: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(10))
    attempt: Mapped[int] = mapped_column(SmallInteger)
    attempt_limit: Mapped[int] = mapped_column(SmallInteger)
    lease_token: Mapped[str | None] = mapped_column(Id)
    lease_until_ms: Mapped[int | None] = mapped_column(BigInteger)
    available_at_ms: Mapped[int] = mapped_column(BigInteger)
    expires_at_ms: Mapped[int] = mapped_column(BigInteger)
    created_at_ms: Mapped[int] = mapped_column(BigInteger)
    started_at_ms: Mapped[int | None] = mapped_column(BigInteger)
    finished_at_ms: Mapped[int | None] = mapped_column(BigInteger)
    step: Mapped[int] = mapped_column(SmallInteger)
    steps: Mapped[int] = mapped_column(SmallInteger)
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_detail: Mapped[str | None] = mapped_column(Text)


class JobInputRow(Table):
    """A picture that came with a job's request, under the name of its field."""

    __tablename__ = "job_inputs"

    job_id: Mapped[str] = mapped_column(Id, ForeignKey(JobRow.id, ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    sha256: Mapped[str] = mapped_column(Sha256, ForeignKey(ObjectRow.sha256), index=True)


class JobFileRow(Table):
    """A picture that a job's answer shows and that is in no gallery, under its name in the answer."""

    __tablename__ = "job_files"

    job_id: Mapped[str] = mapped_column(Id, ForeignKey(JobRow.id, ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    sha256: Mapped[str] = mapped_column(Sha256, ForeignKey(ObjectRow.sha256), index=True)


class IdempotencyRow(Table):
    """What a client's Idempotency-Key stands for: a job, or a stored answer, or (neither) a request in progress."""

    __tablename__ = "idempotency_records"

    owner: Mapped[str] = mapped_column(Owner, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(Sha256)
    created_at_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    token: Mapped[str] = mapped_column(Id)
    held_until_ms: Mapped[int] = mapped_column(BigInteger)
    job_id: Mapped[str | None] = mapped_column(Id, ForeignKey(JobRow.id, ondelete="CASCADE"), index=True)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)


class ImageRow(Table):
    __tablename__ = "images"
    __table_args__ = (
        CheckConstraint("feedback BETWEEN -1 AND 1", name="feedback"),
        UniqueConstraint("job_id", "job_position"),  # a job that is done twice cannot leave its pictures twice
        Index(None, "owner", "created_at_ms", "id"),
        # Covers the fingerprint by which a vector index knows that it is stale.
        Index(None, "owner", "embedding_model", "embedding_mark"),
        Index(None, "embedding_model"),  # for finding, among everybody's pictures, those that lack an embedding
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Owner)
    created_at_ms: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(40))
    prompt: Mapped[str] = mapped_column(Text)
    prompt_words: Mapped[str] = mapped_column(Text)
    negative_prompt: Mapped[str] = mapped_column(Text)
    family: Mapped[str] = mapped_column(String(63))
    model: Mapped[str] = mapped_column(String(128))
    seed: Mapped[int | None] = mapped_column(BigInteger)
    width: Mapped[int] = mapped_column(BigInteger)
    height: Mapped[int] = mapped_column(BigInteger)
    params: Mapped[dict[str, Any]] = mapped_column(Json)
    parent_id: Mapped[str | None] = mapped_column(Id, ForeignKey("images.id", ondelete="SET NULL"), index=True)
    relation: Mapped[str | None] = mapped_column(String(20))
    job_id: Mapped[str | None] = mapped_column(Id, ForeignKey(JobRow.id, ondelete="SET NULL"))
    job_position: Mapped[int | None] = mapped_column(SmallInteger)
    object_sha256: Mapped[str] = mapped_column(Sha256, ForeignKey(ObjectRow.sha256), index=True)
    thumbnail_sha256: Mapped[str] = mapped_column(Sha256, ForeignKey(ObjectRow.sha256), index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(64))
    feedback: Mapped[int] = mapped_column(SmallInteger)
    note: Mapped[str] = mapped_column(Text)
    embedding: Mapped[bytes | None] = mapped_column(LargeBinary)
    embedding_model: Mapped[str | None] = mapped_column(String(128))
    embedding_mark: Mapped[int | None] = mapped_column(BigInteger)


class ApiKeyRow(Table):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    prefix: Mapped[str] = mapped_column(String(16))
    secret_sha256: Mapped[str] = mapped_column(Sha256, unique=True)
    scopes: Mapped[list[str]] = mapped_column(Json)
    requests_per_minute: Mapped[int | None] = mapped_column(BigInteger)
    cost_per_day: Mapped[int | None] = mapped_column(BigInteger)
    created_at_ms: Mapped[int] = mapped_column(BigInteger)
    last_used_at_ms: Mapped[int | None] = mapped_column(BigInteger)
    revoked_at_ms: Mapped[int | None] = mapped_column(BigInteger)


class SpendingRow(Table):
    """What a picture that was painted at once has cost an API key with a quota. A job's cost is in its own row."""

    __tablename__ = "spendings"
    __table_args__ = (Index(None, "owner", "created_at_ms"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Owner)
    cost: Mapped[int] = mapped_column(BigInteger)
    created_at_ms: Mapped[int] = mapped_column(BigInteger)
