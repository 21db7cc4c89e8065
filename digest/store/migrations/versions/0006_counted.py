"""When each source has counted: so that a period one source has counted in is added up without asking for others."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three columns, filled from what is there."""
    for name in ("counted_from", "counted_until", "coarse_until"):
        op.add_column("sources", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    connection = op.get_bind()
    coarse = "max(CASE WHEN span > 3600 THEN until END)"
    query = f"SELECT source_id, min(until), max(until), {coarse} FROM views GROUP BY source_id"
    change = "UPDATE sources SET counted_from = :first, counted_until = :last, coarse_until = :coarse WHERE id = :id"
    statement = sa.text(change).bindparams(
        *(sa.bindparam(name, type_=sa.DateTime(timezone=True)) for name in ("first", "last", "coarse"))
    )
    is_sqlite = connection.dialect.name == "sqlite"
    for source_id, *moments in connection.execute(sa.text(query)).all():
        first, last, longest = (_moment(each, is_sqlite) for each in moments)
        connection.execute(statement, {"id": source_id, "first": first, "last": last, "coarse": longest})


def _moment(seconds: int | None, is_sqlite: bool) -> datetime | None:
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.replace(tzinfo=None) if is_sqlite else moment
