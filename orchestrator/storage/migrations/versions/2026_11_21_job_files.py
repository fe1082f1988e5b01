"""Pictures that a job's answer shows and that belong to no gallery, such as overlays: kept as long as their job."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_job_files"
down_revision = "2026_11_21_completed_jobs"


def upgrade() -> None:
    op.create_table(
        "job_files",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_files_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sha256"], ["objects.sha256"], name=op.f("fk_job_files_sha256")),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_job_files")),
    )
    op.create_index(op.f("ix_job_files_sha256"), "job_files", ["sha256"], unique=False)
