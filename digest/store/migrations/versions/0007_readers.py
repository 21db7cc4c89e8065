"""Readers for life: pauses and rhythms, suppressions with a kind, bounces, proofs of consent, imports."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    """New columns for what is there, then the new tables."""
    op.add_column("subscriptions", sa.Column("reminded_at", Moment, nullable=True))
    op.add_column("subscriptions", sa.Column("paused_until", sa.BigInteger(), nullable=True))
    op.add_column("subscriptions", sa.Column("rhythm", sa.Text(), server_default="", nullable=False))
    _partial("ix_subscriptions_pending", "subscriptions", "requested_at", "state = 'pending'")
    op.add_column("events", sa.Column("delivery_id", BigId, nullable=True))
    op.add_column("events", sa.Column("token_hash", sa.Text(), server_default="", nullable=False))
    op.add_column("suppressions", sa.Column("kind", sa.Text(), server_default="operator", nullable=False))
    op.add_column("suppressions", sa.Column("by", sa.Text(), server_default="", nullable=False))
    op.add_column("suppressions", sa.Column("domain", sa.Text(), server_default="", nullable=False))
    _partial("ix_suppressions_domain", "suppressions", "domain", "domain <> ''")
    for beginning, kind in (("hard", "bounced"), ("complaint", "complained")):
        op.execute(f"UPDATE suppressions SET kind = '{kind}' WHERE reason LIKE '{beginning}%'")
    _of_readers()
    _of_mail()


def _partial(name: str, table: str, column: str, where: str) -> None:
    op.create_index(name, table, [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _of_readers() -> None:
    op.create_table(
        "proofs",
        sa.Column("id", BigId, nullable=False),
        sa.Column("address_hash", sa.Text(), nullable=False),
        sa.Column("newsletter", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("wording_id", sa.Text(), nullable=True),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("requested_at", Moment, nullable=True),
        sa.Column("confirmed_at", Moment, nullable=True),
        sa.Column("withdrawn_at", Moment, nullable=True),
        sa.Column("forgotten_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["wording_id"], ["wordings.id"], name=op.f("fk_proofs_wording_id_wordings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proofs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_proofs_address_hash"), "proofs", ["address_hash"])
    op.create_index(op.f("ix_proofs_forgotten_at"), "proofs", ["forgotten_at"])
    op.create_table(
        "suppressed_domains",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_suppressed_domains")),
    )
    op.create_table(
        "suppression_log",
        sa.Column("id", BigId, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("lifted", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression_log")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_suppression_log_subject"), "suppression_log", ["subject"])
    op.create_table(
        "farewells",
        sa.Column("newsletter", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("readers", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("newsletter", "month", "reason", name=op.f("pk_farewells")),
    )


def _of_mail() -> None:
    op.create_table(
        "bounces",
        sa.Column("id", BigId, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("delivery_id", BigId, nullable=False),
        sa.Column("subscriber_id", BigId, nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="", nullable=False),
        sa.Column("provider", sa.Text(), server_default="", nullable=False),
        sa.Column("words", sa.Text(), server_default="", nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bounces")),
        sa.UniqueConstraint("delivery_id", "kind", name=op.f("uq_bounces_delivery_id_kind")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_bounces_at"), "bounces", ["at"])
    op.create_index(op.f("ix_bounces_subscriber_id"), "bounces", ["subscriber_id"])
    op.create_table(
        "verdicts",
        sa.Column("edition_id", BigId, autoincrement=False, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("bounces", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("edition_id", "provider", name=op.f("pk_verdicts")),
    )
    op.create_table(
        "imports",
        sa.Column("id", BigId, nullable=False),
        sa.Column("file_hash", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("newsletter", sa.Text(), nullable=False),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("plan", Json, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("counts", Json, nullable=False),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("finished_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_imports_file_hash"), "imports", ["file_hash"])
    op.create_table(
        "mailboxes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("remembered", Json, nullable=False),
        sa.Column("read_at", Moment, nullable=True),
        sa.Column("failed_at", Moment, nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_mailboxes")),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_marks")),
    )
