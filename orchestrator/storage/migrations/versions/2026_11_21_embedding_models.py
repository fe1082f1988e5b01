"""Pictures without an embedding are looked for twice a minute: by an index, not by reading all of them."""

from alembic import op

revision = "2026_11_21_embedding_models"
down_revision = "2026_11_21_spendings"


def upgrade() -> None:
    op.create_index(op.f("ix_images_embedding_model"), "images", ["embedding_model"], unique=False)
