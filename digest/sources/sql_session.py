"""A look into somebody's database: read-only, with limits of time and rows, and errors in plain words.

The session is opened read-only in each database's own way, besides the user who should have no right to write:
SQLite `mode=ro` and `PRAGMA query_only`, PostgreSQL `default_transaction_read_only`, MySQL and MariaDB
`SET SESSION TRANSACTION READ ONLY`. The server ends a statement that takes too long (`statement_timeout`,
`max_statement_time` in MariaDB, `max_execution_time` in MySQL); with SQLite we do.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from digest.errors import SourceError

MAX_ROWS = 1_000_000  # of one query
_AT_ONCE = 1000  # rows fetched from the server
_DRIVERS = {
    **dict.fromkeys(("mysql", "mariadb"), "mysql+pymysql"),
    **dict.fromkeys(("postgres", "postgresql"), "postgresql+psycopg"),
}
_BACKENDS = frozenset({"sqlite", "postgresql", "mysql", "mariadb"})
_TIMESTAMP = 7  # the type of a MySQL column that holds an instant and not a local time; shown in the session's zone
_UNKNOWN_VARIABLE = 1193
_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|#[^\n]*(?:\n|\Z)|/\*.*?\*/|\()*", re.S)

# What databases say, by number (MySQL), state (PostgreSQL) or words: (pattern, reason, remedy).
_SAYINGS = [
    (r"^\[(1045|1698|28P01|28000)\]|password authentication failed|no password supplied", "it refuses the user",
     "Check the user and the password in url"),
    (r"^\[(1044|1142|1143|1227|42501)\]", "the user may not read this", "Grant it SELECT on the tables asked for"),
    (r"^\[(1049|3D000)\]|database \"[^\"]*\" does not exist", "there is no such database", "Check its name in url"),
    (r"^\[(1146|42P01)\]|no such table", "there is no such table", "Check the query, or the preset and its prefix"),
    (r"^\[(1054|42703)\]|no such column", "there is no such column", "Check the query, or the preset"),
    (r"^\[(1792|25006|1290)\]|readonly database|data-modifying", "the query wants to write; here it may only read",
     "Write a query that begins with SELECT"),
    (r"^\[(1969|3024|1317|57014)\]|interrupted|timed out|\bLost connection to MySQL server during query",
     "the query takes too long", "Raise the source's timeout, or give the table an index on its time"),
    (r"^\[(1064|42601)\]|syntax error", "it does not understand the query", "Try it in the database's own client"),
    (r"unable to open database file", "there is no such file, or it may not be read", "Check the path in url"),
    (r"file is not a database|malformed", "the file is no SQLite database", "Check the path in url"),
    (r"^\[20(02|03|05)\]|[Cc]onnection (failed|refused|is bad|timeout)|could not (connect|translate)|resolve host",
     "it cannot be reached", "Check host and port in url, and that the database takes connections from here"),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Database:
    """The database of the source named `source`, at an SQLAlchemy `url`; `seconds` bound a statement and a wait."""

    source: str
    url: sa.URL = field(repr=False)
    seconds: float

    @classmethod
    def at(cls, source: str, url: str, seconds: float) -> Database:
        """Raises SourceError when `url` is none."""
        try:
            parsed = sa.make_url(url)
            parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
            dialect = parsed.get_dialect()
            if parsed.get_backend_name() not in _BACKENDS or dialect.is_async:
                raise ValueError
            dialect.import_dbapi()
        except (sa.exc.ArgumentError, ValueError, ImportError):  # what they say may show the password
            reason = "its url is none of a database that can be read"
            raise SourceError(source, "config.toml", reason, "Write mysql+pymysql://user:password@host/name, "
                              "postgresql+psycopg://... or sqlite:///path") from None  # fmt: skip
        return cls(source, parsed, seconds)

    @property
    def place(self) -> str:
        """Where it is, without the user and the password."""
        host = f"{self.url.host or ''}{f':{self.url.port}' if self.url.port else ''}"
        return f"{self.url.get_backend_name()}://{host}/{self.url.database or ''}"

    @contextmanager
    def session(self, given_up: threading.Event) -> Iterator[Session]:
        """A session for looking only, which ends when `given_up` is set. Raises SourceError."""
        engine = self._engine(given_up)
        try:
            with engine.connect() as connection:
                yield Session(self, connection, given_up)
        except (sa.exc.SQLAlchemyError, OSError, ImportError) as error:
            raise self.trouble(self.place, error) from None
        finally:
            engine.dispose()

    def trouble(self, place: str, error: Exception) -> SourceError:
        """What the database or its driver said, in our words and its own, without the password."""
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
        first = cause.args[0] if cause.args else ""
        number = first if isinstance(first, int) else getattr(cause, "sqlstate", None)
        words = cause.args[1] if len(cause.args) > 1 and isinstance(cause.args[1], str) else str(cause)
        said = f"[{number}] {words}" if number else words
        told = " ".join(str(words).split())[:200]
        for secret in (self.url.password, quote(self.url.password or "", safe="")):
            told = told.replace(secret, "***") if secret else told
        for pattern, reason, remedy in _SAYINGS:
            if re.search(pattern, said):
                return SourceError(self.source, place, f"{reason} ({told})", remedy)
        return SourceError(self.source, place, f"the database says: {told}", "Try the query in its own client")

    def _engine(self, given_up: threading.Event) -> sa.Engine:
        options: dict[str, Any] = {"poolclass": sa.pool.NullPool, "hide_parameters": True}
        backend, whole = self.url.get_backend_name(), max(1, round(self.seconds))
        if backend == "sqlite":
            path = f"file:{quote(self.url.database or '')}?mode=ro"
            url = self.url.set(database=path, query={"uri": "true"})
            engine = sa.create_engine(url, connect_args={"timeout": self.seconds}, **options)
            sa.event.listen(engine, "connect", lambda connection, _: _close_sqlite(connection, given_up))
            return engine
        if backend == "postgresql":
            limits = f"-c default_transaction_read_only=on -c statement_timeout={whole * 1000}"
            return sa.create_engine(self.url, connect_args={"connect_timeout": whole, "options": limits}, **options)
        waits = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), whole)
        engine = sa.create_engine(self.url, connect_args=waits, **options)
        sa.event.listen(engine, "connect", lambda connection, _: _close_mysql(connection, whole))
        return engine


@dataclass(frozen=True, slots=True)
class Session:
    """Asks, and never writes."""

    database: Database
    connection: sa.Connection
    given_up: threading.Event

    @property
    def is_mysql(self) -> bool:
        """Whether it is MySQL or MariaDB."""
        return self.connection.dialect.name in ("mysql", "mariadb")

    def local_zone(self, zone: str) -> None:
        """Let PostgreSQL read local times as those of `zone`; others take what they are given."""
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(sa.text("SELECT set_config('TimeZone', :zone, false)"), {"zone": zone})

    def rows(
        self, query: str, values: Mapping[str, Any] | None = None, what: str = "", wanted: Sequence[str] = ()
    ) -> Iterator[dict[str, Any]]:
        """Each row by lower-case column, as it arrives; take them all before you ask again.

        `what` names the query in errors, `wanted` the columns it must have. Raises SourceError.
        """
        place = f"{self.database.place}, {what}" if what else self.database.place
        if not re.match(r"(?:SELECT|WITH)\b", _COMMENTS.sub("", query, count=1), re.I):
            raise SourceError(self.database.source, place, "the query is no SELECT", "Write one that only reads")
        statement = sa.text(query.rstrip().rstrip(";"))
        known = values or {}
        if unknown := set(statement.compile().params) - set(known):
            reason = f"the query asks for :{min(unknown)}"
            raise SourceError(self.database.source, place, reason, "Known are " + ", ".join(f":{key}" for key in known)
                              + "; write \\: for a colon that is none of these")  # fmt: skip
        try:
            yield from self._fetched(place, statement, known, wanted)
        except (sa.exc.SQLAlchemyError, OSError, ValueError, OverflowError) as error:
            raise self.database.trouble(place, error) from None

    def _fetched(
        self, place: str, statement: sa.TextClause, values: Mapping[str, Any], wanted: Sequence[str]
    ) -> Iterator[dict[str, Any]]:
        options = {"yield_per": _AT_ONCE}
        with self.connection.execute(statement, dict(values), execution_options=options) as result:
            if not result.returns_rows:
                raise SourceError(self.database.source, place, "the query gives no rows", "Write a SELECT")
            names = [str(name).lower() for name in result.keys()]  # noqa: SIM118 - no dictionary
            if missing := [column for column in wanted if column not in names]:
                reason = f"no column {', '.join(missing)}; found: {', '.join(names)[:200]}"
                remedy = f"Wanted are {', '.join(wanted)}: name them with AS"
                raise SourceError(self.database.source, place, reason, remedy)
            instants = _instants(result) if self.is_mysql else frozenset()
            for number, row in enumerate(result, start=1):
                if number > MAX_ROWS or self.given_up.is_set():
                    reason = f"the query gives more than {MAX_ROWS:,} rows"
                    raise SourceError(self.database.source, place, reason, "Narrow it, with :since for example")
                plain = (_plain(value, at in instants) for at, value in enumerate(row))
                yield dict(zip(names, plain, strict=True))

    def columns(self, table: str) -> frozenset[str]:
        """The names of a table's columns in lower case. Raises SourceError, also when there is no such table."""
        try:
            result = self.connection.execute(sa.text(f"SELECT * FROM {self.quoted(table)} WHERE 1 = 0"))
            return frozenset(str(name).lower() for name in result.keys())  # noqa: SIM118 - no dictionary
        except sa.exc.SQLAlchemyError as error:
            raise self.database.trouble(f"{self.database.place}, table {table}", error) from None

    def is_unique(self, table: str, *columns: str) -> bool:
        """Whether the table allows one row only for each value of these columns."""
        looks = sa.inspect(self.connection)
        keys = [{str(name).lower() for name in each["column_names"]} for each in looks.get_unique_constraints(table)]
        for each in looks.get_indexes(table):
            if each["unique"]:
                keys.append({str(name).lower() for name in each["column_names"]})
        return {column.lower() for column in columns} in keys

    def quoted(self, table: str) -> str:
        """A name as it may stand in a statement."""
        return self.connection.dialect.identifier_preparer.quote_identifier(table)


def in_site_time(value: Any, zone: tzinfo) -> Any:
    """A moment as ISO text with its offset, a naive one read in `zone`; anything else as it is."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=zone)).isoformat()
    return value


def _instants(result: sa.CursorResult[Any]) -> frozenset[int]:
    description = result.cursor.description if result.cursor is not None else None
    return frozenset(at for at, column in enumerate(description or ()) if column[1] == _TIMESTAMP)


def _plain(value: Any, is_instant: bool) -> Any:
    """What a driver gives, as rows of a file would hold it."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, Decimal | float) and abs(float(value)) < 1e18 and value == int(value):
        return int(value)
    return value.replace(tzinfo=UTC) if is_instant and isinstance(value, datetime) else value


def _close_sqlite(connection: Any, given_up: threading.Event) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.set_progress_handler(lambda: int(given_up.is_set()), 10_000)


def _close_mysql(connection: Any, seconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("SET SESSION time_zone = '+00:00'")  # so :since, which is UTC, compares well with a TIMESTAMP
        try:
            cursor.execute(f"SET SESSION max_statement_time = {seconds}")
        except Exception as error:
            if error.args[0] != _UNKNOWN_VARIABLE:
                raise
            cursor.execute(f"SET SESSION max_execution_time = {seconds * 1000}")  # milliseconds
