"""Bringing a database to this program's schema, and refusing to run on any other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from digest.errors import SchemaMismatch
from digest.store.engine import Store
from digest.store.scrubbing import rewrite

if TYPE_CHECKING:
    from alembic.config import Config

_VERSIONS = Path(__file__).parent / "migrations" / "versions"
SECURE_SINCE = "0007"  # files from before hold traces of what was deleted: they are written anew once
_MIGRATE_LOCK = 0x4469674D  # one migration at a time on PostgreSQL


def migrate(store: Store) -> str:
    """Create or upgrade the schema; returns its revision. Raises SchemaMismatch on a newer database."""
    # Here, not at the top: a service that only looks at its revision need not load Alembic.
    from alembic import command

    config = _alembic()
    with store.begin() as tx:
        if not store.is_sqlite:
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATE_LOCK)))
        found = _revision(tx)
        if found and found not in _known():
            raise SchemaMismatch(found, head(), newer=True)
        config.attributes["connection"] = tx
        command.upgrade(config, "head")
    if store.is_sqlite and found and found < SECURE_SINCE:
        rewrite(store)
    return head()


def check_schema(store: Store) -> None:
    """Raises SchemaMismatch, which says what to do, unless the database is at this program's schema."""
    with store.read() as tx:
        found = _revision(tx)
    expected = head()
    if found != expected:
        raise SchemaMismatch(found, expected, newer=found is not None and found not in _known())


def head() -> str:
    """The revision this program works with."""
    return max(_known())


def _known() -> set[str]:
    """Migrations are numbered, and their files begin with the number."""
    return {path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*.py")}


def _revision(tx: sa.Connection) -> str | None:
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    found: str | None = tx.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found


def _alembic() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_VERSIONS.parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
