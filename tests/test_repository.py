"""What is written beside the code agrees with the code: settings, locks, README, changelog."""

from __future__ import annotations

import re
import subprocess
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

import digest
from digest.config import Config
from digest.config.newsletters import NewsletterSection
from digest.config.sources import AnySource

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")

# Sections whose values are an example's; those of all others are the defaults.
EXAMPLES = {"site", "mail", "sources"}
# `key = value  # why`, perhaps commented out; the value of a string may hold a # of its own.
SETTING = re.compile(r'(?:# )?(\w+) = ("[^"]*"|\[[^]]*\]|[^"\[#\s]+)(?:\s+# (?P<why>\S.*))?')


def text_of(name: str) -> str:
    """A file of the repository; the test fails when there is none."""
    return (ROOT / name).read_text(encoding="utf-8")


def sections(model: type[BaseModel] = Config, place: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section of the configuration by the name of its table. A newsletter is shown by `weekly`."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield place + name, kind
            yield from sections(kind, f"{place}{name}.")
        elif name == "servers":
            continue  # [smtp.servers.NAME] takes the keys of [smtp]
        elif name == "newsletters":
            yield "newsletters.weekly", NewsletterSection
            yield from sections(NewsletterSection, "newsletters.weekly.")


def source_kinds() -> list[type[BaseModel]]:
    """The types of [[sources]]."""
    union = typing.get_args(AnySource)[0]
    return list(typing.get_args(union))


def keys(model: type[BaseModel]) -> list[str]:
    """The keys of a section that are no sections themselves, as they are typed."""
    inner = {name.rpartition(".")[2] for name, _ in sections(model)} | {"servers"}
    return [field.alias or name for name, field in model.model_fields.items() if name not in inner]


def written_settings() -> dict[str, dict[str, str]]:
    """config.toml as a reader sees it: table, then key, then the comment behind the key."""
    tables: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text_of("config.toml").splitlines():
        if header := re.fullmatch(r"(?:# )?\[+([\w.]+)\]+.*", line):
            current = tables.setdefault(header[1], {})
        elif setting := SETTING.fullmatch(line):
            current[setting[1]] = setting["why"] or ""
    return tables


@pytest.mark.parametrize(("name", "model"), [pytest.param(*each, id=each[0]) for each in sections()])
def test_every_setting_is_written_and_explained(name: str, model: type[BaseModel]) -> None:
    written = written_settings().get(name, {})
    there = set(written) | {key.removesuffix("_file") for key in written}
    missing = [key for key in keys(model) if key not in there]
    bare = [key for key, why in written.items() if not why]
    assert not missing, f"config.toml, [{name}]: these settings are not there: {missing}"
    assert not bare, f"config.toml, [{name}]: these settings have no comment: {bare}"


@pytest.mark.parametrize("model", source_kinds(), ids=lambda model: model.__name__)
def test_every_kind_of_source_is_shown_with_its_keys(model: type[BaseModel]) -> None:
    (kind,) = typing.get_args(model.model_fields["kind"].annotation)
    text = text_of("config.toml")
    blocks = re.split(r"(?m)^(?:# )?\[\[sources\]\]$", text)
    shown = [block for block in blocks if re.search(rf'(?m)^(?:# )?kind = "{kind}"\s+# \S', block)]
    assert shown, f"config.toml shows no [[sources]] of kind {kind!r} with a comment"
    for_every_kind = "".join(re.findall(r"(?m)^# .*Every source also takes: .*\n.*$", text))
    explained = shown[0] + shown[0].replace("_file = ", " = ") + for_every_kind
    missing = [key for key in keys(model) if f"{key} = " not in explained]
    assert not missing, f"config.toml: a source of kind {kind!r} has these keys too: {missing}"


def test_the_values_written_are_the_defaults() -> None:
    written = tomllib.loads(text_of("config.toml"))
    written["web"].pop("secret_file")
    whole = Config.model_validate({**written, "web": {**written["web"], "secret": SecretStr("s" * 32)}})
    for name, model in sections():
        if name.partition(".")[0] not in EXAMPLES:
            section = _at(whole, name)
            for key, field in model.model_fields.items():
                if not field.is_required() and key not in {inner for inner, _ in sections(model)}:
                    assert getattr(section, key) == field.get_default(), f"[{name}] {key} is not the default"


def _at(config: Any, name: str) -> Any:
    for step in name.split("."):
        config = config[step] if isinstance(config, dict) else getattr(config, step)
    return config


@pytest.mark.parametrize("name", LOCKS)
def test_locks_hold_hashes_and_no_address(name: str) -> None:
    lock = text_of(name)
    assert "://" not in lock and "index-url" not in lock
    pinned = re.findall(r"(?m)^([a-z0-9-]+)==\S+(?: ; .*)? \\\n((?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", lock)
    requirements = re.findall(r"(?m)^[^\s#].*", lock)
    assert len(pinned) == len(requirements) > 20, "a requirement without a version or a hash"


def test_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    asked = {LOCKS[0]: project["dependencies"]}
    asked[LOCKS[1]] = asked[LOCKS[0]] + project["optional-dependencies"]["dev"]
    for name, requirements in asked.items():
        wanted = {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in requirements}
        locked = set(re.findall(r"(?m)^([a-z0-9-]+)==", text_of(name)))
        assert wanted <= locked, f"{name} lacks {sorted(wanted - locked)}: run `make lock`"


def test_the_readme_names_the_first_commands() -> None:
    readme = text_of("README.md")
    assert "make demo" in readme and "make test" in readme


def test_every_target_that_the_documents_name_exists() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", text_of("Makefile")))
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {target for file in documents for target in re.findall(r"(?m)[`$]\s?make ([a-z-]+)", file.read_text())}
    assert named <= targets, f"there is no target {sorted(named - targets)}"


def test_every_command_that_the_documents_name_exists() -> None:
    from typer.main import get_command

    from digest import cli

    cli.load([])
    there: dict[str, set[str]] = {}
    for name, command in get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        there[name] = set(getattr(command, "commands", {}))
    documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    missing = set()
    for file in documents:
        for group, rest in re.findall(r"(?m)(?:^ {4}|`)digest ([a-z]+)((?: [a-z-]+(?: \|)?)*)", file.read_text()):
            named = [word for word in rest.split() if word != "|"] if "|" in rest else rest.split()[:1]
            if group != "unix" and (
                group not in there or (there[group] and not set(named) <= there[group])
            ):  # a line of master.cf
                missing.add(f"{file.name}: digest {group}{rest}")
    assert not missing, "\n".join(sorted(missing))


def test_one_version_everywhere() -> None:
    newest = re.search(r"(?m)^## v?(\d[\w.]*)", text_of("CHANGELOG.md"))
    assert newest is not None and newest[1] == digest.__version__
    assert tomllib.loads(text_of("pyproject.toml"))["project"]["version"] == digest.__version__


def test_nothing_is_left_to_do_and_no_path_is_of_one_machine() -> None:
    # Written in two pieces, so that this file does not find itself.
    unfinished = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    someones_path = re.compile(r"(?<![\w.:/<])/(?:ho" + r"me|Us" + r"ers|wo" + r"rk|ro" + r"ot)/\w")
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if unfinished.search(line) or someones_path.search(line)
    ]
    assert not found, "\n".join(["", *found])


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Every text file that git knows. The clone may be another user's, as in containers."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        content = path.read_bytes() if path.is_file() else b""
        if b"\0" not in content:
            yield name, content.decode("utf-8", "replace")
