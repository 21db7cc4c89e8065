"""Looking for a person in what is left behind: files, rows and log lines, in every shape an address is written in."""

from __future__ import annotations

import base64
import json
import quopri
from collections.abc import Iterable
from urllib.parse import quote

import sqlalchemy as sa

from digest.store import Store


def shapes(word: str) -> set[bytes]:
    """How a word may be written, in lower case: plain, in JSON, in a URL, in quoted-printable, in UTF-16."""
    plain = word.encode()
    forms = {
        plain,
        json.dumps(word)[1:-1].encode(),
        quote(word, safe="").encode(),
        quopri.encodestring(plain, quotetabs=True).replace(b"=\n", b""),
        plain.replace(b"@", b"=40"),
        plain.replace(b"+", b"+2B"),
        word.encode("utf-16-le"),
    }
    return {form.lower() for form in forms}  # of ASCII, as `bytes` do


def in_base64(word: str) -> set[bytes]:
    """The inner part of a word as base64 has it, wherever in the text it begins."""
    found = set()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + word.encode())
        found.add(whole[4 if before else 0 : len(whole) // 4 * 4 - 4])
    return found


def traces(content: bytes, words: Iterable[str]) -> set[str]:
    """Those of the words that are in it, in any shape and any case."""
    low = content.lower()
    return {
        word
        for word in words
        if any(shape in low for shape in shapes(word)) or any(shape in content for shape in in_base64(word))
    }


def every_value(store: Store) -> bytes:
    """All rows of all tables as text; of PostgreSQL also what its planner remembers of them."""
    found: list[str] = []
    with store.read() as tx:
        for name in sa.inspect(tx).get_table_names():
            found += (repr(tuple(row)) for row in tx.execute(sa.text(f'SELECT * FROM "{name}"')))
        if not store.is_sqlite:
            found += (repr(tuple(row)) for row in tx.execute(sa.text("SELECT * FROM pg_stats")))
    return "\n".join(found).encode()
