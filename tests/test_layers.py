"""The house keeps its shape: imports go down only, each library has its room, and no file or function grows fat.

Each rule takes one parsed module and yields what is wrong in it. The first test applies them to the package; the
others break each rule once, in a small package of their own, and see that it is noticed.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What lies where: a module belongs to the longest name that it is or lies in.
LAYERS = {
    "digest": "package",  # its __init__: the version only
    "digest.__main__": "door",
    "digest.app": "door",
    "digest.scheduler": "door",
    "digest.cli": "door",
    "digest.web": "door",
    "digest.demo": "door",
    "digest.collecting": "flow",
    "digest.publishing": "flow",
    "digest.delivering": "flow",
    "digest.subscribing": "flow",
    "digest.bouncing": "flow",
    "digest.store": "edge",
    "digest.sources": "edge",
    "digest.mail": "edge",
    "digest.tables": "edge",
    "digest.config": "config",
    "digest.config.sources": "config",
    "digest.config.types": "config",
    "digest.domain": "domain",
    "digest.errors": "errors",
}

# Which layers a layer may import; everyone may import itself and the package's version.
BELOW = {
    "package": set(),
    "door": {"flow", "edge", "config", "domain", "errors"},
    "flow": {"edge", "domain", "errors"},
    "edge": {"domain", "errors"},
    "config": {"domain", "errors"},
    "domain": {"errors"},
    "errors": set(),
}

# Within a layer a part may import its own modules, and of its neighbours only these.
NEIGHBOURS = {
    "digest.__main__": {"digest.cli"},
    "digest.scheduler": {"digest.app"},
    "digest.web": {"digest.app"},
    "digest.cli": {"digest.app", "digest.web", "digest.scheduler", "digest.demo"},
    "digest.demo": {"digest.app", "digest.web", "digest.scheduler", "digest.cli"},  # it shows the whole product
    "digest.config": {"digest.config.sources", "digest.config.types"},
    "digest.config.sources": {"digest.config.types"},
    # Flows do not import one another. One that has to is named here, with the reason.
}

# Arrows beside the layers, each with its reason.
ALSO = {
    "digest.sources": {"digest.config.sources", "digest.config.types"},  # a source is built from its section's type
}

# Each third-party library has its room: the modules that may import it.
ROOMS = {
    "sqlalchemy": ("digest.store", "digest.sources.sql_session"),
    "pymysql": (),  # SQLAlchemy loads it for a source's mysql+pymysql:// address
    "alembic": ("digest.store",),
    "psycopg": ("digest.store",),
    "premailer": ("digest.mail",),
    "cssutils": ("digest.mail",),
    "lxml": ("digest.mail",),
    "cssselect": ("digest.mail.cascade",),
    "email_validator": ("digest.mail",),
    "babel": ("digest.mail",),
    "PIL": ("digest.sources.pictures",),
    "nh3": ("digest.mail.note",),
    "markdown_it": ("digest.mail.note",),
    "jinja2": ("digest.mail", "digest.web.pages", "digest.cli.report_page", "digest.demo"),
    "aiosmtplib": ("digest.mail.smtp",),
    "imapclient": ("digest.mail.inbox.imap",),
    "cryptography": (
        "digest.mail.dkim",
        "digest.mail.dkim_keys",
        "digest.sources.service_account",
        "digest.web.webhook_signatures",
    ),
    "apscheduler": ("digest.scheduler",),
    "httpx": ("digest.sources", "digest.web.captcha", "digest.demo"),
    "feedparser": ("digest.sources",),
    "fastapi": ("digest.web", "digest.demo"),
    "starlette": ("digest.web", "digest.demo"),
    "uvicorn": ("digest.web", "digest.demo", "digest.cli.serve"),
    "limits": ("digest.web.limiting",),
    "redis": (),  # `limits` loads it for a limits_storage of redis://
    "disposable_email_domains": ("digest.mail.disposable",),
    "dns": ("digest.mail.exchangers",),
    "prometheus_client": ("digest.web.metrics",),
    "typer": ("digest.cli", "digest.demo"),
    "rich": ("digest.cli", "digest.demo"),
    "aiosmtpd": ("digest.demo",),
    "pydantic": ("digest.config",),
}

# What reads the clock or starts a loop stands in doors only.
DOOR_CALLS = {
    "asyncio.run",
    "date.today",
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "time.time",
    "time.time_ns",
}

# What the domain has no use for, of the standard library.
IMPURE = (
    *("asyncio", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "shutil", "smtplib"),
    *("socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request"),
)

MAX_MODULE = 300
HARD_MAX_MODULE = 350
LONGER_MODULES: dict[str, str] = {
    "digest.delivering.bookkeeping": "everything a sender writes into the database, and nothing else",
    "digest.mail.session": "one state machine: apart, nobody would see that every reply has its place",
}
# The whole data model, on one page: a table to look things up in, not a story to read.
THE_PAGE = {"digest.store.schema": 470}
MAX_FUNCTION = 40  # 25 is the aim
MIGRATIONS = "digest.store.migrations.versions"  # a migration is one list of tables, however long
EMPTY_NAMES = re.compile(r"utils?|helpers?|common|misc|managers?|base")


@dataclass(frozen=True)
class Module:
    """A parsed file: its dotted name, its text, and the names it imports with the line they stand on."""

    name: str
    text: str
    tree: ast.Module
    imports: tuple[tuple[str, int], ...]

    @property
    def part(self) -> str:
        """The part of the house it belongs to."""
        return owner(self.name)

    @property
    def layer(self) -> str:
        """The layer of that part."""
        return LAYERS[self.part]


def owner(name: str) -> str:
    """The longest name in LAYERS that `name` is or lies in."""
    return max((part for part in LAYERS if lies_in(name, part) and (part != "digest" or name == part)), key=len)


def lies_in(name: str, place: str) -> bool:
    """Whether a dotted name is `place` or below it."""
    return name == place or name.startswith(place + ".")


def house(root: Path) -> list[Module]:
    """Every module of the package under `root`."""
    files = sorted((root / "digest").rglob("*.py"))
    names = {file: _dotted(file.relative_to(root)) for file in files}
    return [_parse(file, names[file], set(names.values())) for file in files]


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parse(file: Path, name: str, known: set[str]) -> Module:
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found = [each for node in ast.walk(tree) for each in _imported(node, package, known)]
    return Module(name, text, tree, tuple(found))


def _imported(node: ast.AST, package: str, known: set[str]) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        origin = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:  # `from digest import store` names a module, `from digest import __version__` does not
            whole = f"{origin}.{alias.name}"
            yield (whole if whole in known else origin), node.lineno


def placed(module: Module) -> Iterator[str]:
    """Every module is in the map."""
    if not any(lies_in(module.name, part) for part in LAYERS if part != "digest") and module.name != "digest":
        yield f"{module.name}: which layer is it in? Give it a line in LAYERS"


def arrows(module: Module) -> Iterator[str]:
    """Doors -> flows -> edges -> domain -> errors, and neighbours only where the tables say so."""
    for name, line in module.imports:
        if lies_in(name, "digest") and not _may_import(module, owner(name)):
            yield f"{module.name}:{line} imports {name}: {module.layer} may not import {LAYERS[owner(name)]} here"


def _may_import(module: Module, target: str) -> bool:
    if target in (module.part, "digest") or target in ALSO.get(module.part, ()):
        return True
    if LAYERS[target] == module.layer:
        return target in NEIGHBOURS.get(module.part, ())
    return LAYERS[target] in BELOW[module.layer]


def rooms(module: Module) -> Iterator[str]:
    """A third-party library stays in its room."""
    for name, line in module.imports:
        library = name.partition(".")[0]
        if library == "digest" or library in sys.stdlib_module_names:
            continue
        if not any(lies_in(module.name, room) for room in ROOMS.get(library, ())):
            where = ", ".join(ROOMS.get(library, ("none yet",)))
            yield f"{module.name}:{line} imports {library}, whose rooms are: {where}"


def clock_and_loop(module: Module) -> Iterator[str]:
    """Only doors read the clock or start an event loop."""
    for node in ast.walk(module.tree):
        for call in _named(node):
            if call in DOOR_CALLS and module.layer != "door":
                yield f"{module.name}:{node.lineno} uses {call}, which only a door may"


def _named(node: ast.AST) -> Iterator[str]:
    """The last two words of `datetime.datetime.now`, and what `from time import time` names."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
        yield f"{node.value.id if isinstance(node.value, ast.Name) else node.value.attr}.{node.attr}"
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def pure_domain(module: Module) -> Iterator[str]:
    """The rules have no input, no output and no chance in them."""
    for name, line in module.imports:
        if module.layer == "domain" and any(lies_in(name, impure) for impure in IMPURE):
            yield f"{module.name}:{line} imports {name}: the domain is pure"


def short_modules(module: Module) -> Iterator[str]:
    """A module is read at one sitting."""
    lines = len(module.text.splitlines())
    limit = THE_PAGE.get(module.name, HARD_MAX_MODULE if module.name in LONGER_MODULES else MAX_MODULE)
    if lines > limit and not lies_in(module.name, MIGRATIONS):
        yield f"{module.name} has {lines} lines; {limit} are allowed"


def short_functions(module: Module) -> Iterator[str]:
    """A function is seen at one glance."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not lies_in(module.name, MIGRATIONS):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION:
                yield f"{module.name}:{node.lineno} {node.name} has {lines} lines; {MAX_FUNCTION} are allowed"


def telling_names(module: Module) -> Iterator[str]:
    """A module is named after what it is about."""
    for word in re.split(r"[._]", module.name):
        if EMPTY_NAMES.fullmatch(word):
            yield f"{module.name}: {word!r} says nothing about what is in it"


RULES: list[Callable[[Module], Iterator[str]]] = [
    placed,
    arrows,
    rooms,
    clock_and_loop,
    pure_domain,
    short_modules,
    short_functions,
    telling_names,
]


def problems(root: Path, rule: Callable[[Module], Iterator[str]]) -> list[str]:
    """What a rule finds in the package under `root`."""
    return [problem for module in house(root) for problem in rule(module)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps(rule: Callable[[Module], Iterator[str]]) -> None:
    found = problems(ROOT, rule)
    assert not found, "\n".join(["", *found])


def test_no_exception_outlives_its_reason() -> None:
    lengths = {module.name: len(module.text.splitlines()) for module in house(ROOT)}
    stale = [name for name in LONGER_MODULES if lengths.get(name, 0) <= MAX_MODULE]
    assert not stale, f"these need no exception any more: {stale}"


GOOD = {
    "cli/serve.py": "import asyncio, typer, uvicorn\nfrom digest import __version__, publishing\nasyncio.run(x)",
    "publishing.py": "from digest.store import editions\nfrom digest.domain.ranking import rank",
    "store/editions.py": "import sqlalchemy as sa\nfrom digest.store import articles\nfrom digest import errors",
    "store/articles.py": "from . import editions\nfrom ..errors import NotFound",
    "sources/feed.py": "import httpx\nfrom digest.config.sources import FeedSource",
    "domain/ranking.py": "import re\nfrom datetime import datetime\nfrom digest.errors import NotFound",
}

BAD = [
    (arrows, "domain/links.py", "from digest.store import articles"),
    (arrows, "domain/links.py", "from ..store import articles"),
    (arrows, "domain/links.py", "import digest.config"),
    (arrows, "domain/links.py", "def f():\n    from digest import publishing"),
    (arrows, "store/deliveries.py", "from digest import mail"),
    (arrows, "store/deliveries.py", "from digest.publishing import draft"),
    (arrows, "mail/letters.py", "from digest.config import Mail"),
    (arrows, "delivering.py", "from digest import publishing"),
    (arrows, "delivering.py", "from digest.config import Smtp"),
    (arrows, "delivering.py", "from digest import app"),
    (arrows, "web/pages.py", "from digest.cli import opening"),
    (arrows, "errors.py", "from digest.domain.links import Links"),
    (arrows, "__init__.py", "from digest import publishing"),
    (rooms, "domain/links.py", "import pydantic"),
    (rooms, "publishing.py", "from sqlalchemy.orm import Session"),
    (rooms, "mail/wire.py", "import aiosmtplib"),
    (rooms, "web/site.py", "import jinja2"),
    (rooms, "web/site.py", "import surprising"),
    (clock_and_loop, "delivering.py", "import asyncio\nasyncio.run(send())"),
    (clock_and_loop, "domain/periods.py", "from datetime import datetime\nnow = datetime.now(UTC)"),
    (clock_and_loop, "store/views.py", "import datetime\nnow = datetime.datetime.now()"),
    (clock_and_loop, "store/views.py", "from time import time"),
    (pure_domain, "domain/links.py", "import urllib.request"),
    (pure_domain, "domain/links.py", "from pathlib import Path"),
    (short_modules, "domain/links.py", "x = 1\n" * 301),
    (short_functions, "domain/links.py", "async def f():\n" + "    x = 1\n" * 40),
    (telling_names, "mail/mail_utils.py", ""),
    (telling_names, "common/links.py", ""),
    (placed, "surprise.py", ""),
]


def build(root: Path, files: dict[str, str]) -> Path:
    """A small package under `root`."""
    stubs = ("__init__", "config", "errors", "app", "publishing", "domain/__init__", "store/__init__", "mail/__init__")
    for name, text in {**{f"{stub}.py": "" for stub in stubs}, **files}.items():
        path = root / "digest" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_good_house_is_not_blamed(tmp_path: Path) -> None:
    root = build(tmp_path, GOOD)
    assert [problem for rule in RULES for problem in problems(root, rule)] == []


@pytest.mark.parametrize(("rule", "name", "text"), BAD, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_rule_is_noticed(
    tmp_path: Path, rule: Callable[[Module], Iterator[str]], name: str, text: str
) -> None:
    assert len(problems(build(tmp_path, {**GOOD, name: text}), rule)) == 1
