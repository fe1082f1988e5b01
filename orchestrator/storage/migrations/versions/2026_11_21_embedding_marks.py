"""A number for each embedding, by whose sum a vector index knows that it is stale.

Times of pictures were not enough: two of one request may have the same, and deleting one and embedding the other went
unseen.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_embedding_marks"
down_revision = "2026_11_21_images_jobs_keys"


def upgrade() -> None:
    op.add_column("images", sa.Column("embedding_mark", sa.BigInteger(), nullable=True))
    # Nothing has written embeddings so far; had it, they are made again.
    op.execute("UPDATE images SET embedding = NULL, embedding_model = NULL")
    op.drop_index("ix_images_owner_embedding_model_created_at_ms", table_name="images")
    op.create_index(
        "ix_images_owner_embedding_model_embedding_mark", "images", ["owner", "embedding_model", "embedding_mark"]
    )
