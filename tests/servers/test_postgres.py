"""The private PostgreSQL is real, survives being killed, and says what is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.servers import postgres as postgres_server
from tests.servers import require


@pytest.fixture(scope="module")
def server() -> Iterator[postgres_server.Postgres]:
    with postgres_server.running() as running:
        yield running


def test_two_databases_do_not_share_their_tables(server: postgres_server.Postgres) -> None:
    first, second = (sa.create_engine(server.new_database()) for _ in range(2))
    with first.begin() as tx:
        tx.execute(sa.text("CREATE TABLE readers (name text)"))
    assert sa.inspect(first).get_table_names() == ["readers"]
    assert sa.inspect(second).get_table_names() == []
    first.dispose()
    second.dispose()


def test_what_was_committed_survives_a_kill_and_open_sessions_do_not(server: postgres_server.Postgres) -> None:
    engine = sa.create_engine(server.new_database(), pool_pre_ping=True)
    with engine.begin() as tx:
        tx.execute(sa.text("CREATE TABLE readers AS SELECT 'alice' AS name"))
    session = engine.connect()
    session.execute(sa.text("INSERT INTO readers VALUES ('bob')"))
    server.kill()
    with pytest.raises(sa.exc.OperationalError):
        session.execute(sa.text("SELECT 1"))
    session.invalidate()
    session.close()
    server.start()
    with engine.connect() as again:
        assert again.scalars(sa.text("SELECT name FROM readers")).all() == ["alice"]
    engine.dispose()


def test_a_restart_keeps_the_address(server: postgres_server.Postgres) -> None:
    before, old = server.url(), server.pid
    server.restart()
    assert server.url() == before
    assert server.pid != old


def test_two_clusters_run_at_once(server: postgres_server.Postgres) -> None:
    with postgres_server.running() as other:
        assert other.port != server.port


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_package_is_skipped_by_people_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="apt-get install postgresql") as told:
        require("postgresql", "the store is tested on it")
    assert "\n" not in str(told.value)
