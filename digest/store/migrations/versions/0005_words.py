"""How many words an article has, and the editor's note of an edition."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns."""
    op.add_column("articles", sa.Column("words", sa.Integer(), nullable=True))
    op.add_column("editions", sa.Column("note", sa.Text(), server_default="", nullable=False))
