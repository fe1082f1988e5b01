"""The pace of jobs is read from those that are completed: their index holds no others, and tempts no other query.

On a PostgreSQL that had not counted its rows yet, each claim read that index from end to end.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_completed_jobs"
down_revision = "2026_11_21_embedding_models"
_IS_COMPLETED = sa.text("state = 'completed'")


def upgrade() -> None:
    op.drop_index("ix_jobs_kind_finished_at_ms", table_name="jobs")
    op.create_index(
        op.f("ix_jobs_kind_finished_at_ms"),
        "jobs",
        ["kind", "finished_at_ms"],
        unique=False,
        postgresql_where=_IS_COMPLETED,
        sqlite_where=_IS_COMPLETED,
    )
