"""What Alembic runs. The connection, in its transaction, comes from schema.py."""

from alembic import context

from orchestrator.storage.tables import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
with context.begin_transaction():
    context.run_migrations()
