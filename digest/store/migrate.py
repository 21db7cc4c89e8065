"""Bringing a database to this program's schema, and refusing to run on any other."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from digest.errors import SchemaMismatch
from digest.store.engine import Store

_MIGRATE_LOCK = 0x4469674D  # one migration at a time on PostgreSQL


def migrate(store: Store) -> str:
    """Create or upgrade the schema; returns its revision. Raises SchemaMismatch on a newer database."""
    config = _alembic()
    with store.begin() as tx:
        if not store.is_sqlite:
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATE_LOCK)))
        found = MigrationContext.configure(tx).get_current_revision()
        if found and found not in _known(config):
            raise SchemaMismatch(found, head(), newer=True)
        config.attributes["connection"] = tx
        command.upgrade(config, "head")
    return head()


def check_schema(store: Store) -> None:
    """Raises SchemaMismatch, which says what to do, unless the database is at this program's schema."""
    with store.read() as tx:
        found = MigrationContext.configure(tx).get_current_revision()
    expected = head()
    if found != expected:
        raise SchemaMismatch(found, expected, newer=found is not None and found not in _known(_alembic()))


def head() -> str:
    """The revision this program works with."""
    revision = ScriptDirectory.from_config(_alembic()).get_current_head()
    assert revision is not None
    return revision


def _known(config: Config) -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
