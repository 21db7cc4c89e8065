"""A leaner outbox for large lists, folded deliveries, and what holds the pace over all workers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
EPOCH = {"sqlite": "CAST(strftime('%s', {0}) AS INTEGER)", "postgresql": "floor(extract(epoch FROM {0}))::bigint"}


def upgrade() -> None:
    """Rebuild deliveries with times in seconds and fewer indexes; add the small tables beside it."""
    dialect = op.get_bind().dialect.name
    last_id = _last_id(dialect)
    op.execute("CREATE TABLE deliveries_before AS SELECT * FROM deliveries")
    op.drop_table("deliveries")
    _create_deliveries()
    _copy(EPOCH[dialect])
    op.execute("DROP TABLE deliveries_before")
    _go_on_numbering(dialect, last_id)
    _widen_editions_and_workers()
    _create_small_tables()


def _last_id(dialect: str) -> int:
    """The highest id ever given out: links in mails name deliveries for ever."""
    query = {
        "sqlite": "SELECT max(seq) FROM sqlite_sequence WHERE name = 'deliveries'",
        "postgresql": "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM deliveries_id_seq",
    }
    return int(op.get_bind().scalar(sa.text(query[dialect])) or 0)


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("mail", sa.Text(), nullable=False),
        sa.Column("edition_id", BIG_ID, nullable=True),
        sa.Column("subscription_id", BIG_ID, nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("notice_id", BIG_ID, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("worker_id", BIG_ID, nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("reply", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("subscription_id", "edition_id", name=op.f("uq_deliveries_subscription_id_edition_id")),
        sqlite_autoincrement=True,
    )
    _index("ix_deliveries_fresh", ["edition_id", "id"], "state = 'queued' AND due_at IS NULL")
    _index(
        "ix_deliveries_later",
        ["edition_id", "due_at", "id"],
        "state IN ('queued', 'deferred') AND due_at IS NOT NULL",
    )
    _index("ix_deliveries_postponed", ["edition_id", "due_at", "id"], "state = 'queued' AND due_at IS NOT NULL")
    _index("ix_deliveries_sending", ["worker_id"], "state = 'sending'")


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "deliveries", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _copy(epoch: str) -> None:
    due = f"CASE WHEN state = 'queued' AND attempts = 0 THEN NULL ELSE {epoch.format('due_at')} END"
    op.execute(
        "INSERT INTO deliveries (id, mail, edition_id, subscription_id, address, notice_id, state, queued_at, due_at,"
        " attempts, worker_id, settled_at, code, reply)"
        " SELECT id, mail, edition_id, subscription_id, address, notice_id, state,"
        f" {epoch.format('queued_at')}, {due}, attempts, worker_id, {epoch.format('settled_at')}, code, reply"
        " FROM deliveries_before ORDER BY id"
    )


def _go_on_numbering(dialect: str, last_id: int) -> None:
    if not last_id:
        return
    if dialect == "sqlite":
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'deliveries'")
        op.execute(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('deliveries', {last_id})")
    else:
        op.execute(f"SELECT setval('deliveries_id_seq', {last_id})")


def _widen_editions_and_workers() -> None:
    op.add_column("editions", sa.Column("first_delivery", BIG_ID, nullable=True))
    op.add_column("editions", sa.Column("last_delivery", BIG_ID, nullable=True))
    for column, pick in (("first_delivery", "min"), ("last_delivery", "max")):
        op.execute(
            f"UPDATE editions SET {column} ="
            f" (SELECT {pick}(id) FROM deliveries WHERE deliveries.edition_id = editions.id)"
        )
    op.add_column("workers", sa.Column("rate", sa.Float(), server_default="0", nullable=False))


def _create_small_tables() -> None:
    op.create_table(
        "folded",
        sa.Column("edition_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("deliveries", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["edition_id"], ["editions.id"], name=op.f("fk_folded_edition_id_editions")),
        sa.PrimaryKeyConstraint("edition_id", name=op.f("pk_folded")),
    )
    op.create_table(
        "usage",
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("minute", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("server", "minute", name=op.f("pk_usage")),
    )
    op.create_table(
        "slowdowns",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("rate", sa.Float(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_slowdowns")),
    )
