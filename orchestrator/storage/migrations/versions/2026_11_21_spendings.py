"""What pictures that were painted at once have cost, so that quotas a day count them beside jobs."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_spendings"
down_revision = "2026_11_21_embedding_marks"


def upgrade() -> None:
    op.create_table(
        "spendings",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spendings")),
    )
    op.create_index(op.f("ix_spendings_owner_created_at_ms"), "spendings", ["owner", "created_at_ms"], unique=False)
