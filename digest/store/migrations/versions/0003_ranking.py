"""Views by the end of their bucket, rankings as one document each, and what a fair and explained list needs."""

import json
import zlib

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Rebuild views under their new key, turn candidates into documents, add columns."""
    _rebuild_views()
    op.add_column("articles", sa.Column("pinned_position", sa.Integer(), nullable=True))
    op.add_column("articles", sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("articles", sa.Column("shares", sa.Integer(), nullable=True))
    pinned = sa.text("pinned_at IS NOT NULL")
    op.create_index("ix_articles_pinned_at", "articles", ["pinned_at"], sqlite_where=pinned, postgresql_where=pinned)
    op.add_column("articles", sa.Column("lent", sa.Integer(), server_default="0", nullable=False))
    op.add_column("sources", sa.Column("first_total_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sources", sa.Column("folded_until", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE sources SET first_total_at = (SELECT min(read_at) FROM totals WHERE source_id = sources.id)"
        " WHERE id IN (SELECT source_id FROM totals)"
    )
    op.add_column("editions", sa.Column("basis", sa.Text(), server_default="views", nullable=False))
    op.add_column("editions", sa.Column("notes", JSON, server_default="[]", nullable=False))
    op.add_column("picks", sa.Column("block", sa.Text(), server_default="", nullable=False))
    op.add_column("picks", sa.Column("is_sponsored", sa.Boolean(), server_default=sa.false(), nullable=False))
    _create_pushes()
    _create_period_totals()
    _gather_candidates()


def _rebuild_views() -> None:
    op.rename_table("views", "views_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE views_before RENAME CONSTRAINT pk_views TO pk_views_before")
        op.execute("ALTER TABLE views_before DROP CONSTRAINT IF EXISTS fk_views_page_id_pages")
        op.execute("ALTER TABLE views_before DROP CONSTRAINT IF EXISTS fk_views_source_id_sources")
    op.create_table(
        "views",
        sa.Column("until", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("page_id", BIG_ID, nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("span", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("views", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_views_page_id_pages")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_views_source_id_sources")),
        sa.PrimaryKeyConstraint("until", "page_id", "source_id", "span", name=op.f("pk_views")),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO views (until, page_id, source_id, span, views)"
        " SELECT at + span, page_id, source_id, span, views FROM views_before ORDER BY 1, 2, 3, 4"
    )
    op.drop_table("views_before")


def _create_pushes() -> None:
    op.create_table(
        "pushes",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", JSON, nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_pushes_source_id_sources")),
        sa.PrimaryKeyConstraint("source_id", "key", name=op.f("pk_pushes")),
    )
    op.create_index(op.f("ix_pushes_at"), "pushes", ["at"])


def _create_period_totals() -> None:
    op.create_table(
        "period_totals",
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("views", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_period_totals_source_id_sources")),
        sa.PrimaryKeyConstraint("start", "end", "source_id", name=op.f("pk_period_totals")),
    )


def _gather_candidates() -> None:
    op.create_table(
        "rankings",
        sa.Column("edition_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["edition_id"], ["editions.id"], name=op.f("fk_rankings_edition_id_editions")),
        sa.PrimaryKeyConstraint("edition_id", name=op.f("pk_rankings")),
    )
    connection = op.get_bind()
    of_one = sa.text(
        "SELECT article_id, views, score, kept, reason FROM candidates WHERE edition_id = :id ORDER BY place"
    )
    keep = sa.text("INSERT INTO rankings (edition_id, record) VALUES (:id, :record)")
    for edition_id in list(connection.scalars(sa.text("SELECT DISTINCT edition_id FROM candidates"))):
        rows = [
            [row.article_id, row.views, row.score, place if row.kept else 0, int(row.kept), row.reason, "", {}]
            for place, row in enumerate(connection.execute(of_one, {"id": edition_id}), start=1)
        ]
        record = zlib.compress(json.dumps({"candidates": rows}).encode())
        connection.execute(keep, {"id": edition_id, "record": record})
    op.drop_table("candidates")
