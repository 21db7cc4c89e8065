"""The whole data model on one page. Every stored time is aware UTC.

Change it here and in a new file under `migrations/versions`; a test compares the two on both databases.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from digest.store.types import EpochSeconds, UtcDateTime

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers rows itself only in INTEGER
Json = sa.JSON().with_variant(JSONB(), "postgresql")
LATER = "state IN ('queued', 'deferred') AND due_at IS NOT NULL"


def _partial(name: str, *columns: str, where: str) -> sa.Index:
    """An index of the rows that match `where` only, on both databases."""
    return sa.Index(name, *columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


NUMBERED: dict[str, Any] = {"sqlite_autoincrement": True}  # an id is never given out twice: links name rows for ever

# --- what was published and how often it was read ------------------------------------------------

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("collected_at", UtcDateTime),  # the last good reading
    sa.Column("failed_at", UtcDateTime),  # the last bad one, if it came later
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.Column("first_total_at", UtcDateTime),  # the first reading of its lifetime counters: views before are unknown
    sa.Column("counted_from", UtcDateTime),  # the ends of its first bucket of views,
    sa.Column("counted_until", UtcDateTime),  # of its last one,
    sa.Column("coarse_until", UtcDateTime),  # and of its last one longer than an hour
    sa.Column("folded_until", UtcDateTime),  # its hours up to then were made days
    sa.Column("remembered", Json, nullable=False),  # what the source asked to keep: ETag, ...
    **NUMBERED,
)

# Every address anybody read. Those that are also in `articles` are articles; the rest is listed as unmatched.
pages = sa.Table(
    "pages",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("canonical", sa.Text, nullable=False, unique=True),
    **NUMBERED,
)

articles = sa.Table(
    "articles",
    metadata,
    sa.Column("id", BigId, sa.ForeignKey("pages.id"), primary_key=True, autoincrement=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("image", Json),  # {url, alt, width, height}
    sa.Column("section", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("tags", Json, nullable=False),
    sa.Column("published_at", UtcDateTime, nullable=False, index=True),
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
    sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), nullable=False),
    sa.Column("pinned_at", UtcDateTime),
    sa.Column("pinned_position", sa.Integer),  # the place the desk wants it at, from 1
    sa.Column("banned_at", UtcDateTime),
    sa.Column("gone_at", UtcDateTime),  # when its page was found to be no more
    sa.Column("shares", sa.Integer),  # how often it was shared, where the source says so
    sa.Column("words", sa.Integer),  # of its text, where the source gives it: the time of reading
    sa.Column("lent", sa.Integer, nullable=False, server_default="0"),  # which words another source filled in, as bits
    _partial("ix_articles_pinned_at", "pinned_at", where="pinned_at IS NOT NULL"),
)

# Views of the bucket [until - span seconds, until). A bucket counts in the period its end lies in; the end comes
# first in the key, so a period is one range of it, however long the history.
views = sa.Table(
    "views",
    metadata,
    sa.Column("until", EpochSeconds, primary_key=True, autoincrement=False),
    sa.Column("page_id", BigId, sa.ForeignKey("pages.id"), primary_key=True, autoincrement=False),
    sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), primary_key=True, autoincrement=False),
    sa.Column("span", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("views", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What a closed period's views came to, by source: the mean of the last four is what the next one is held against.
period_totals = sa.Table(
    "period_totals",
    metadata,
    sa.Column("start", EpochSeconds, primary_key=True, autoincrement=False),
    sa.Column("end", EpochSeconds, primary_key=True, autoincrement=False),
    sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), primary_key=True, autoincrement=False),
    sa.Column("views", sa.BigInteger, nullable=False),
)

# The last reading of each lifetime counter; the difference to the next one is what was read in between.
totals = sa.Table(
    "totals",
    metadata,
    sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), primary_key=True),
    sa.Column("page_id", BigId, sa.ForeignKey("pages.id"), primary_key=True),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("read_at", UtcDateTime, nullable=False),
)

# What the publisher's own system has sent us: the same key again gets the same answer, and changes nothing.
pushes = sa.Table(
    "pushes",
    metadata,
    sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("body_hash", sa.Text, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("answer", Json, nullable=False),
)

# --- who asked for what --------------------------------------------------------------------------

subscribers = sa.Table(
    "subscribers",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("address_key", sa.Text, nullable=False, unique=True),
    sa.Column("variant_key", sa.Text, nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", UtcDateTime, nullable=False),
    **NUMBERED,
)

subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("subscriber_id", BigId, sa.ForeignKey("subscribers.id"), nullable=False),
    sa.Column("newsletter", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("requested_at", UtcDateTime, nullable=False),
    sa.Column("confirmed_at", UtcDateTime),
    sa.Column("unsubscribed_at", UtcDateTime),
    sa.Column("reminded_at", UtcDateTime),  # when the one reminder to confirm was queued
    sa.Column("paused_until", EpochSeconds),  # no edition before
    sa.Column("rhythm", sa.Text, nullable=False, server_default=""),  # monthly: only the first edition of a month
    sa.UniqueConstraint("subscriber_id", "newsletter"),
    sa.Index("ix_subscriptions_newsletter_state", "newsletter", "state"),
    _partial("ix_subscriptions_pending", "requested_at", where="state = 'pending'"),
    **NUMBERED,
)

# Append-only: what was agreed to, when, how, and in which words.
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("subscriber_id", BigId, sa.ForeignKey("subscribers.id"), nullable=False, index=True),
    sa.Column("newsletter", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("way", sa.Text, nullable=False),
    sa.Column("address_as_typed", sa.Text, nullable=False, server_default=""),
    sa.Column("wording_id", sa.Text, sa.ForeignKey("wordings.id")),
    sa.Column("language", sa.Text, nullable=False, server_default=""),
    sa.Column("form", sa.Text, nullable=False, server_default=""),
    sa.Column("ip", sa.Text, nullable=False, server_default=""),
    sa.Column("user_agent", sa.Text, nullable=False, server_default=""),
    sa.Column("delivery_id", BigId),  # the mail that asked for it: its Message-ID follows from the number
    sa.Column("token_hash", sa.Text, nullable=False, server_default=""),  # SHA-256 of the token that was shown
    sa.Column("written_at", UtcDateTime),  # where `at` is older: a consent that came with an import
    **NUMBERED,
)

wordings = sa.Table(
    "wordings",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # SHA-256 of the text
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("first_shown_at", UtcDateTime, nullable=False),
)

# What is left of the consent of somebody who was forgotten: an HMAC of the address, dates, and the words agreed to.
proofs = sa.Table(
    "proofs",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("address_hash", sa.Text, nullable=False, index=True),
    sa.Column("newsletter", sa.Text, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("wording_id", sa.Text, sa.ForeignKey("wordings.id")),
    sa.Column("way", sa.Text, nullable=False),  # how consent was given
    sa.Column("requested_at", UtcDateTime),
    sa.Column("confirmed_at", UtcDateTime),
    sa.Column("withdrawn_at", UtcDateTime),
    sa.Column("forgotten_at", UtcDateTime, nullable=False, index=True),
    **NUMBERED,
)

# Outlives the subscriber: an HMAC of the address, and why it is never mailed.
suppressions = sa.Table(
    "suppressions",
    metadata,
    sa.Column("address_hash", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False, server_default="operator"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False, server_default=""),  # who: the desk, an import, a mailbox provider
    sa.Column("domain", sa.Text, nullable=False, server_default=""),  # suppressed because its whole domain is
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("subscriber_id", BigId, index=True),  # no foreign key: it stays when the subscriber is forgotten
    _partial("ix_suppressions_domain", "domain", where="domain <> ''"),
)

suppressed_domains = sa.Table(
    "suppressed_domains",
    metadata,
    sa.Column("domain", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False, server_default=""),
    sa.Column("at", UtcDateTime, nullable=False),
)

# Append-only: what was suppressed, what was let go again, by whom and why. An address is its HMAC here too.
suppression_log = sa.Table(
    "suppression_log",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("subject", sa.Text, nullable=False, index=True),  # an address's hash, or a domain
    sa.Column("lifted", sa.Boolean, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    **NUMBERED,
)

# What came back of a delivery, once a kind, however often the report is read.
bounces = sa.Table(
    "bounces",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("delivery_id", BigId, nullable=False),
    sa.Column("subscriber_id", BigId, index=True),  # empty once they are forgotten
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default=""),  # RFC 3463, such as 5.1.1
    sa.Column("provider", sa.Text, nullable=False, server_default=""),  # the recipient's domain
    sa.Column("words", sa.Text, nullable=False, server_default=""),
    sa.Column("via", sa.Text, nullable=False),  # mailbox, pipe, smtp, ses, ...
    sa.Column("outcome", sa.Text, nullable=False, server_default=""),  # what followed: suppressed, held, ...
    sa.UniqueConstraint("delivery_id", "kind"),
    **NUMBERED,
)

# How many readers of an edition bounced hard at a provider, and what was decided once those were too many.
verdicts = sa.Table(
    "verdicts",
    metadata,
    sa.Column("edition_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("bounces", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False, server_default=""),  # held, then applied or discarded by the desk
)

# Why readers left, by month; who said so, nobody knows.
farewells = sa.Table(
    "farewells",
    metadata,
    sa.Column("newsletter", sa.Text, primary_key=True),
    sa.Column("month", sa.Text, primary_key=True),  # 2026-11
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("readers", sa.BigInteger, nullable=False),
)

# An import goes on where it was cut off: `position` and the rows before it commit together.
imports = sa.Table(
    "imports",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("file_hash", sa.Text, nullable=False, index=True),  # SHA-256 of the file
    sa.Column("file_name", sa.Text, nullable=False),
    sa.Column("newsletter", sa.Text, nullable=False),
    sa.Column("consent", sa.Text, nullable=False),  # the operator's statement
    sa.Column("plan", Json, nullable=False),  # which column means what
    sa.Column("position", sa.BigInteger, nullable=False),  # rows that are done
    sa.Column("counts", Json, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    **NUMBERED,
)

# Where reading the bounce mailbox has come to.
mailboxes = sa.Table(
    "mailboxes",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("remembered", Json, nullable=False),
    sa.Column("read_at", UtcDateTime),
    sa.Column("failed_at", UtcDateTime),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
)

# What the installation remembers of itself, such as a fingerprint of the secret the suppressions were made with.
marks = sa.Table("marks", metadata, sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text))

# --- editions and their deliveries ---------------------------------------------------------------

editions = sa.Table(
    "editions",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("newsletter", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("period_start", UtcDateTime, nullable=False),
    sa.Column("period_end", UtcDateTime, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("send_at", UtcDateTime, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("frozen_at", UtcDateTime),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("audience", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("excluded", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("basis", sa.Text, nullable=False, server_default="views"),  # what its articles were chosen by
    sa.Column("notes", Json, nullable=False, server_default="[]"),  # what one should know of its list
    sa.Column("note", sa.Text, nullable=False, server_default=""),  # the editor's, in Markdown
    sa.Column("first_delivery", BigId),  # its deliveries lie between these two
    sa.Column("last_delivery", BigId),
    sa.UniqueConstraint("newsletter", "period_end"),
    **NUMBERED,
)

picks = sa.Table(
    "picks",
    metadata,
    sa.Column("edition_id", BigId, sa.ForeignKey("editions.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("article_id", BigId, sa.ForeignKey("articles.id"), nullable=False, index=True),
    sa.Column("title", sa.Text, nullable=False),  # as it goes out, whatever the article is called later
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("views", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("block", sa.Text, nullable=False, server_default=""),  # the heading it stands under
    sa.Column("is_sponsored", sa.Boolean, nullable=False, server_default=sa.false()),
)

# How often each link of an edition was followed; by whom, nobody knows.
clicks = sa.Table(
    "clicks",
    metadata,
    sa.Column("edition_id", BigId, sa.ForeignKey("editions.id"), primary_key=True, autoincrement=False),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("clicks", sa.BigInteger, nullable=False),
)

# Every candidate of an edition, its numbers, and the reason it is in or out: one compressed document, never searched.
rankings = sa.Table(
    "rankings",
    metadata,
    sa.Column("edition_id", BigId, sa.ForeignKey("editions.id"), primary_key=True, autoincrement=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
)

# What every reader of one language gets, frozen; only the slots differ.
renderings = sa.Table(
    "renderings",
    metadata,
    sa.Column("edition_id", BigId, sa.ForeignKey("editions.id"), primary_key=True),
    sa.Column("language", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("preheader", sa.Text, nullable=False),
    sa.Column("html", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("mark", sa.Text, nullable=False),
)

# The one outbox. An edition's deliveries and confirmations go to a subscription, notices to the desk's `address`.
# Rows of an edition are queued in one go, so they lie side by side: `editions` keeps the first and the last id.
# No foreign keys: the statement that queues a million rows reads them from the very tables they would point at. And
# each index is paid for at every change of state: there are those a claim, a death and a history need.
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("mail", sa.Text, nullable=False),
    sa.Column("edition_id", BigId),
    sa.Column("subscription_id", BigId),
    sa.Column("address", sa.Text),  # of a notice to the desk; readers' addresses stay with the readers
    sa.Column("notice_id", BigId),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("queued_at", EpochSeconds, nullable=False),
    sa.Column("due_at", EpochSeconds),  # empty: at once, whatever the clock says
    sa.Column("attempts", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("worker_id", BigId),
    sa.Column("settled_at", EpochSeconds),
    sa.Column("code", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("reply", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("subscription_id", "edition_id"),
    _partial("ix_deliveries_fresh", "edition_id", "id", where="state = 'queued' AND due_at IS NULL"),
    _partial("ix_deliveries_later", "edition_id", "due_at", "id", where=LATER),
    _partial("ix_deliveries_postponed", "edition_id", "due_at", "id", where="state = 'queued' AND due_at IS NOT NULL"),
    _partial("ix_deliveries_sending", "worker_id", where="state = 'sending'"),
    **NUMBERED,
)

# What is left of an edition's sent rows once they are old: how many there were.
folded = sa.Table(
    "folded",
    metadata,
    sa.Column("edition_id", BigId, sa.ForeignKey("editions.id"), primary_key=True, autoincrement=False),
    sa.Column("deliveries", sa.BigInteger, nullable=False),
)

# Who sends now. A worker that stops without a word leaves `stopped_at` empty and its heartbeat behind.
workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("heartbeat_at", UtcDateTime, nullable=False),
    sa.Column("stopped_at", UtcDateTime),
    sa.Column("rate", sa.Float, nullable=False, server_default="0"),  # messages a second, lately
    **NUMBERED,
)

# How many messages each mail server was given, minute by minute: what caps an hour and a day are held against.
usage = sa.Table(
    "usage",
    metadata,
    sa.Column("server", sa.Text, primary_key=True),
    sa.Column("minute", sa.Integer, primary_key=True, autoincrement=False),  # since 1970
    sa.Column("messages", sa.Integer, nullable=False),
)

# Recipient domains that asked for patience, and how many messages a second they get now, from all workers together.
slowdowns = sa.Table(
    "slowdowns",
    metadata,
    sa.Column("domain", sa.Text, primary_key=True),
    sa.Column("rate", sa.Float, nullable=False),
    sa.Column("at", EpochSeconds, nullable=False),
)

# What the desk was told, and when.
notices = sa.Table(
    "notices",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("edition_id", BigId, sa.ForeignKey("editions.id")),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    **NUMBERED,
)
