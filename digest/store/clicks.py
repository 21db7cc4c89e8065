"""How often the links of editions were followed: by link, never by reader."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from digest.store.engine import insert
from digest.store.schema import clicks, picks

Link = tuple[int, int]  # edition id, position


def add(tx: Connection, counts: Mapping[Link, int]) -> None:
    """Add to the counts of links."""
    statement = insert(tx, clicks)
    statement = statement.on_conflict_do_update(
        index_elements=["edition_id", "position"], set_={"clicks": clicks.c.clicks + statement.excluded.clicks}
    )
    rows = [{"edition_id": link[0], "position": link[1], "clicks": number} for link, number in sorted(counts.items())]
    if rows:  # sorted: two writers then lock them in one order
        tx.execute(statement, rows)


def of_edition(tx: Connection, edition_id: int) -> dict[int, int]:
    """Clicks by position; links that nobody followed are left out."""
    query = sa.select(clicks.c.position, clicks.c.clicks).where(clicks.c.edition_id == edition_id)
    return {row.position: row.clicks for row in tx.execute(query.order_by(clicks.c.position))}


def address(tx: Connection, edition_id: int, position: int) -> str | None:
    """The address of the article at this position of the edition, as it went out."""
    query = sa.select(picks.c.url).where(picks.c.edition_id == edition_id, picks.c.position == position)
    return tx.scalar(query)
