"""One schema, two databases, and a clear line when it is another."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from digest.errors import SchemaMismatch
from digest.store import Store
from digest.store.migrate import check_schema, head, migrate
from digest.store.schema import metadata


@pytest.fixture
def empty(store_url):
    made = Store(store_url)
    yield made
    made.close()


def test_the_migrations_make_exactly_the_schema(empty):
    migrate(empty)
    with empty.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx, opts={"compare_type": True}), metadata) == []


def test_migrating_twice_changes_nothing(empty):
    assert migrate(empty) == migrate(empty) == head()
    check_schema(empty)


def test_an_empty_database_is_refused_with_what_to_do(empty):
    with pytest.raises(SchemaMismatch, match="digest migrate"):
        check_schema(empty)


def test_a_newer_database_is_refused_and_left_alone(empty):
    migrate(empty)
    with empty.begin() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match="newer"):
        check_schema(empty)
    with pytest.raises(SchemaMismatch, match="newer"):
        migrate(empty)


def test_an_older_database_is_refused(empty, monkeypatch):
    migrate(empty)
    monkeypatch.setattr("digest.store.migrate.head", lambda: "9998")
    with pytest.raises(SchemaMismatch, match="older"):
        check_schema(empty)


def test_a_naive_time_never_reaches_the_store(store):
    from datetime import datetime

    from digest.store import workers

    with pytest.raises(sa.exc.StatementError, match="naive"), store.begin() as tx:
        workers.register(tx, "host", 1, datetime(2026, 11, 28))
