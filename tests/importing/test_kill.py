"""`kill -9` at any moment and started again: no row twice, none lost, and the report adds up. Real processes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from digest.store import Store
from digest.store.schema import events, imports, subscribers, subscriptions, suppressions
from digest.subscribing import importing
from tests.crash.process import environment
from tests.importing.stage import LINKS, NOW

ROWS = int(os.environ.get("DIGEST_IMPORT_ROWS", "40000"))
CONFIG = """
[site]
name = "The Vistula Post"
url = "https://news.example.com"
postal_address = "ul. Prosta 1, Warszawa"
[web]
base_url = "https://recap.example.com"
secret = "a secret of at least thirty-two characters"
[database]
url = "{url}"
[mail]
from = "recap@news.example.com"
confirmation_from = "hello@news.example.com"
[newsletters.weekly]
title = "The Weekly Recap"
"""


def write_list(path: Path, rows: int) -> dict[str, int]:
    """A list with some of everything; what must come of it."""
    lines = ["email,name,status,confirmed_at"]
    for number in range(rows):
        kind = number % 100
        address, status = f"reader{number}@example.com", ""
        if kind == 97:
            address = f"nobody{number}"
        elif kind == 98:
            status = "unsubscribed"
        elif kind == 99:
            address = f"Reader{number - 50}@example.com"
        lines.append(f"{address},Reader {number},{status},2024-03-01 10:00:00")
    path.write_text("\n".join(lines))
    hundredth = rows // 100
    return {"rows": rows, "added": 97 * hundredth, "refused": hundredth, "unsubscribed": hundredth} | {
        "duplicates": hundredth
    }


class Running:
    """One process that imports the list."""

    def __init__(self, folder: Path) -> None:
        words = ("subscribers", "import", "list.csv", "--consent-from", "the fair", "--json")
        command = [sys.executable, "-m", "digest", *words]
        self.process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE)

    def kill_once(self, is_far: Callable[[], bool], after: float) -> bool:
        """Kill it a moment after it has come so far; False when it ended before."""
        while not is_far():
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=0.02)
                return False
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=after)
            return False
        self.process.kill()
        self.process.wait()
        return True

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def end(self) -> dict[str, Any]:
        """Wait for its end; what it said."""
        said, _ = self.process.communicate()
        assert self.process.returncode == 0
        found: dict[str, Any] = json.loads(said)
        return found


@pytest.mark.timeout(3600)  # DIGEST_IMPORT_ROWS=1000000 takes its time
def test_no_row_twice_and_none_lost(store_url, tmp_path):
    (tmp_path / "config.toml").write_text(CONFIG.format(url=store_url))
    subprocess.run([sys.executable, "-m", "digest", "migrate"], cwd=tmp_path, env=environment(), check=True)
    wanted = write_list(tmp_path / "list.csv", ROWS)
    store, chance = Store(store_url), random.Random(ROWS)
    killed_at: list[int] = []
    for place in sorted(chance.sample(range(ROWS * 8 // 10), 4)):
        with Running(tmp_path) as running:
            if not running.kill_once(lambda far=place: position(store) >= far, chance.uniform(0, 0.3)):
                break  # it was too quick for us
        killed_at.append(position(store))
    with Running(tmp_path) as running:
        said = running.end()
    with store.read() as tx:
        rows = {table.name: tx.scalar(sa.select(sa.func.count()).select_from(table)) for table in TABLES}
    assert position(store) == wanted["rows"]
    store.close()
    assert {name: said[name] for name in wanted} == wanted
    assert rows == {**dict.fromkeys(("subscribers", "subscriptions", "events"), wanted["added"])} | {
        "suppressions": wanted["unsubscribed"]
    }
    refused = (tmp_path / "list.csv.errors.csv").read_text().splitlines()
    assert len(refused) == len(set(refused)) == wanted["refused"] + 1
    assert said["resumed_at"] == killed_at[-1] > 0 or said["finished_before"]


def position(store: Store) -> int:
    """How far the import is."""
    with store.read() as tx:
        return tx.scalar(sa.select(imports.c.position)) or 0


TABLES = (subscribers, subscriptions, events, suppressions)


@pytest.mark.parametrize("left", [b"12,half a li", b""])
def test_what_a_killed_process_left_in_the_file_of_errors_goes(stage, left, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 2)
    table = "email\nbad1\na@example.com\nbad2\nbad3\nb@example.com\n"

    class Cut(Exception):
        pass

    def cut(*_):
        raise Cut

    path = stage.folder / "cut.csv"
    path.write_text(table)
    with pytest.raises(Cut):
        importing.bring_file(stage.store, LINKS, stage.request(path), NOW, cut)
    errors = stage.folder / "cut.csv.errors.csv"
    errors.write_bytes(errors.read_bytes() + left)
    report = stage.bring(table, "cut.csv")
    assert (report.resumed_at, report.rows) == (2, 5)
    assert [line.partition(",")[0] for line in errors.read_text().splitlines()] == ["line", "2", "4", "5"]
