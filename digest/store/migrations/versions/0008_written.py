"""When a line of the trail was written here, where what it tells of is older: an imported consent keeps its network."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column, empty for all that is there."""
    op.add_column("events", sa.Column("written_at", sa.DateTime(timezone=True), nullable=True))
