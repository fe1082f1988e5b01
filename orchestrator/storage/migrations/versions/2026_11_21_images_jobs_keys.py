"""The first tables: stored bytes, images, jobs with their inputs and idempotency records, API keys."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_images_jobs_keys"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("requests_per_minute", sa.BigInteger(), nullable=True),
        sa.Column("cost_per_day", sa.BigInteger(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_api_keys_secret_sha256")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("request", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("attempt_limit", sa.SmallInteger(), nullable=False),
        sa.Column("lease_token", sa.String(length=36), nullable=True),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("available_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("step", sa.SmallInteger(), nullable=False),
        sa.Column("steps", sa.SmallInteger(), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error_code", sa.String(length=40), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.CheckConstraint("(state = 'running') = (lease_token IS NOT NULL)", name=op.f("ck_jobs_lease")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'completed', 'failed', 'cancelled')", name=op.f("ck_jobs_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_kind_finished_at_ms"), "jobs", ["kind", "finished_at_ms"], unique=False)
    op.create_index(op.f("ix_jobs_owner_created_at_ms_id"), "jobs", ["owner", "created_at_ms", "id"], unique=False)
    op.create_index(op.f("ix_jobs_owner_started_at_ms"), "jobs", ["owner", "started_at_ms"], unique=False)
    op.create_index(
        op.f("ix_jobs_state_owner_priority_created_at_ms"),
        "jobs",
        ["state", "owner", "priority", "created_at_ms"],
        unique=False,
    )
    op.create_table(
        "objects",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(length=64), nullable=False),
        sa.Column("touched_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_objects")),
    )
    op.create_index(op.f("ix_objects_touched_at_ms"), "objects", ["touched_at_ms"], unique=False)
    op.create_table(
        "idempotency_records",
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.String(length=36), nullable=False),
        sa.Column("held_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_idempotency_records_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_idempotency_records")),
    )
    op.create_index(
        op.f("ix_idempotency_records_created_at_ms"), "idempotency_records", ["created_at_ms"], unique=False
    )
    op.create_index(op.f("ix_idempotency_records_job_id"), "idempotency_records", ["job_id"], unique=False)
    op.create_table(
        "images",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("prompt_words", sa.Text(), nullable=False),
        sa.Column("negative_prompt", sa.Text(), nullable=False),
        sa.Column("family", sa.String(length=63), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("width", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("params", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("parent_id", sa.String(length=36), nullable=True),
        sa.Column("relation", sa.String(length=20), nullable=True),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("job_position", sa.SmallInteger(), nullable=True),
        sa.Column("object_sha256", sa.String(length=64), nullable=False),
        sa.Column("thumbnail_sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(length=64), nullable=False),
        sa.Column("feedback", sa.SmallInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.Column("embedding_model", sa.String(length=128), nullable=True),
        sa.CheckConstraint("feedback BETWEEN -1 AND 1", name=op.f("ck_images_feedback")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_images_job_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["object_sha256"], ["objects.sha256"], name=op.f("fk_images_object_sha256")),
        sa.ForeignKeyConstraint(["parent_id"], ["images.id"], name=op.f("fk_images_parent_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["thumbnail_sha256"], ["objects.sha256"], name=op.f("fk_images_thumbnail_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("job_id", "job_position", name=op.f("uq_images_job_id_job_position")),
    )
    op.create_index(op.f("ix_images_object_sha256"), "images", ["object_sha256"], unique=False)
    op.create_index(op.f("ix_images_owner_created_at_ms_id"), "images", ["owner", "created_at_ms", "id"], unique=False)
    op.create_index(
        op.f("ix_images_owner_embedding_model_created_at_ms"),
        "images",
        ["owner", "embedding_model", "created_at_ms"],
        unique=False,
    )
    op.create_index(op.f("ix_images_parent_id"), "images", ["parent_id"], unique=False)
    op.create_index(op.f("ix_images_thumbnail_sha256"), "images", ["thumbnail_sha256"], unique=False)
    op.create_table(
        "job_inputs",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_inputs_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sha256"], ["objects.sha256"], name=op.f("fk_job_inputs_sha256")),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_job_inputs")),
    )
    op.create_index(op.f("ix_job_inputs_sha256"), "job_inputs", ["sha256"], unique=False)
