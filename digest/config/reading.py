"""Reading the configuration whole: config.toml, then the environment, then secrets from files; all mistakes at once."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from digest.config import Config
from digest.config.sources import AnySource
from digest.errors import ConfigurationError

ENV_PREFIX = "DIGEST_"
_NOT_SETTINGS = {"DIGEST_CONFIG"}
_SECRETS = ("secret", "password", "token", "api_token")
_REMEDY = "put it there, or write where it is"  # for the file of a secret
_SECRET_FILES = tuple(f"{name}_file" for name in _SECRETS)


def read_config(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read and check everything. Raises ConfigurationError that lists all mistakes at once."""
    environ = os.environ if environ is None else environ
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            ["there is no such file; run `digest init` to make one, or name it with --config"], str(path)
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([_unreadable(path, str(error))], str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            [f"it is not UTF-8 (byte {error.start + 1}); save it again as UTF-8"], str(path)
        ) from None
    except OSError as error:
        remedy = "name the file itself with --config" if path.is_dir() else "let this user read it, or name another one"
        raise ConfigurationError([f"it cannot be read: {error.strerror}; {remedy}"], str(path)) from None
    problems: list[str] = []
    _overlay_environment(raw, environ, problems)
    _load_secret_files(raw, path.parent, problems)
    problems += _unknown_keys(raw, Config, ())
    try:
        config = Config.model_validate({**raw, "folder": path.parent, "file": path})
    except ValidationError as error:
        problems += [_explain(each, raw) for each in error.errors() if each["type"] != "extra_forbidden"]
        raise ConfigurationError(problems, str(path)) from None
    problems += _missing_templates(config)
    if problems:
        raise ConfigurationError(problems, str(path))
    return config


def _unreadable(path: Path, said: str) -> str:
    """What the parser says, the line it means, and the mistake that is made most."""
    found = re.search(r"\(at line (\d+), column \d+\)", said)
    if found is None:
        return f"it cannot be read: {said}"
    number = int(found[1])
    line = path.read_text(encoding="utf-8").split("\n")[number - 1].strip()
    remedy = {
        "Invalid value": 'Put text in quotes: name = "..."; true, false and numbers stand without',
        "Cannot overwrite a value": "It stands there twice: take one away",
        "Cannot declare": "That section is there already: put the lines into it",
    }
    hint = next((fix for words, fix in remedy.items() if said.startswith(words)), "")
    return f"line {number} cannot be read: {line[:120]}\n    {said.partition(' (at line')[0]}. {hint}".rstrip(". ")


def _missing_templates(config: Config) -> list[str]:
    name = config.theme.templates
    if not name or (config.folder / name).is_dir():
        return []
    return [f"theme.templates: there is no folder {name!r} beside the configuration; make it, or mend the name"]


def _overlay_environment(raw: dict[str, Any], environ: Mapping[str, str], problems: list[str]) -> None:
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX) or name in _NOT_SETTINGS:
            continue
        *sections, key = name.removeprefix(ENV_PREFIX).lower().split("__")
        if not sections:
            continue  # DIGEST_SOMETHING without a section is not ours
        place: Any = raw
        for section in sections:
            place = _below(place, section)
        if isinstance(place, dict):
            place[key] = environ[name]
        else:
            problems.append(f"the environment variable {name} names no setting")


def _below(place: Any, section: str) -> Any:
    """The part of the configuration by that name; one of [[sources]] by the name it was given."""
    if isinstance(place, dict):
        return place.setdefault(section, {})
    if isinstance(place, list):
        return next((each for each in place if isinstance(each, dict) and _is_named(each, section)), None)
    return None


def _is_named(source: Mapping[str, Any], name: str) -> bool:
    return str(source.get("name", "")).lower().replace("-", "_") == name


def _load_secret_files(place: dict[str, Any], folder: Path, problems: list[str], where: str = "") -> None:
    """Replace every `<secret>_file = PATH` by `<secret>` with the file's content."""
    for key, value in list(place.items()):
        if isinstance(value, dict):
            _load_secret_files(value, folder, problems, f"{where}{key}.")
        elif isinstance(value, list):
            for number, each in enumerate(value):
                if isinstance(each, dict):
                    _load_secret_files(each, folder, problems, f"{where}{key}.{each.get('name', number)}.")
        elif key in _SECRET_FILES and isinstance(value, str):
            del place[key]
            try:
                place[key.removesuffix("_file")] = (folder / value).read_text(encoding="utf-8").strip()
            except OSError as error:
                problems.append(f"{where}{key}: the file {folder / value} cannot be read: {error.strerror}; {_REMEDY}")
                place[key.removesuffix("_file")] = "?" * 32  # so that it is not reported as missing too


def _unknown_keys(raw: Any, model: type[BaseModel], where: tuple[str, ...]) -> list[str]:
    """One line for each key `model` does not know, with the nearest one it does."""
    known = {field.alias or name: field for name, field in model.model_fields.items() if not field.exclude}
    problems: list[str] = []
    for key, value in raw.items():
        name = ".".join((*where, key))
        if key not in known:
            near = difflib.get_close_matches(key, [*known, *_secret_file_keys(known)], n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}"
            problems.append(f"{name}: there is no such setting; {hint}")
            continue
        problems += _unknown_below(value, known[key].annotation, (*where, key))
    return problems


def _unknown_below(value: Any, annotation: Any, where: tuple[str, ...]) -> list[str]:
    if isinstance(value, dict):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return _unknown_keys(value, annotation, where)
        if typing.get_origin(annotation) is dict:
            inner = typing.get_args(annotation)[1]
            return [p for k, v in value.items() for p in _unknown_below(v, inner, (*where, k))]
    if isinstance(value, list) and where == ("sources",):
        return [p for i, v in enumerate(value) if isinstance(v, dict) for p in _unknown_in_source(v, i)]
    return []


def _unknown_in_source(value: dict[str, Any], index: int) -> list[str]:
    kinds = {k.model_fields["kind"].annotation.__args__[0]: k for k in typing.get_args(typing.get_args(AnySource)[0])}
    model = kinds.get(value.get("kind"))
    return _unknown_keys(value, model, ("sources", str(value.get("name", index)))) if model else []


def _secret_file_keys(known: Mapping[str, Any]) -> list[str]:
    return [f"{name}_file" for name in _SECRETS if name in known]


def _explain(error: Any, raw: Mapping[str, Any]) -> str:
    where = _place(error["loc"], raw)
    if error["type"] == "missing":
        last = error["loc"][-1]
        remedy = {
            "secret": "run `digest init`, or set DIGEST_WEB__SECRET or [web] secret_file",
            "newsletters": "add a section [newsletters.weekly] with a title",
        }.get(str(last), "add it")
        return f"{where}: it is missing; {remedy}"
    if error["type"] == "union_tag_invalid":
        return _explain_kind(error)
    message = _plain(error)
    given = error.get("input")
    secret = any(part in _SECRETS for part in error["loc"]) or "sql" in error["loc"]
    is_told = secret or isinstance(given, dict | list | tuple) or (isinstance(given, str) and repr(given) in message)
    shown = "" if is_told else f" (it is {given!r})"
    return (f"{where}: " if where else "") + f"{message[:1].lower()}{message[1:]}{shown}"


def _place(loc: Sequence[str | int], raw: Mapping[str, Any]) -> str:
    """Where a mistake is, as the file names it: a source by its name or by its number, and not by its kind."""
    if len(loc) > 2 and loc[0] == "sources" and isinstance(loc[1], int):
        name = raw["sources"][loc[1]].get("name")
        if isinstance(name, str) and name:
            return ".".join(["sources", name, *map(str, loc[3:])])
        return f"the {_ordinal(loc[1] + 1)} [[sources]]: {'.'.join(map(str, loc[3:]))}"
    return ".".join(str(part) for part in loc if part != "[key]")


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def _plain(error: Any) -> str:
    """What is wrong with a value, without the words of programmers."""
    kind, more = error["type"], error.get("ctx") or {}
    if error["loc"][-1:] == ("[key]",):
        return "such a name is made of small letters, digits, - and _: [newsletters.weekly-news]"
    if kind in ("literal_error", "enum"):
        return f"write {more['expected']}".replace("'", '"')
    bounds = {"greater_than_equal": ("ge", "or more"), "less_than_equal": ("le", "or less")}
    if kind in bounds:
        return f"write {more[bounds[kind][0]]} {bounds[kind][1]}"
    said = {
        "greater_than": f"write more than {more.get('gt')}",
        "int_parsing": "write a whole number",
        "int_type": "write a whole number",
        "int_from_float": "write a whole number",
        "float_parsing": "write a number",
        "float_type": "write a number",
        "bool_parsing": "write true or false",
        "bool_type": "write true or false",
        "string_type": 'write text in quotes: "..."',
        "string_too_short": "it must not be empty",
        "tuple_type": 'write a list: ["...", "..."]',
        "model_type": "it is a section of its own: write its keys below [its.name]",
    }
    return str(said.get(kind, error["msg"].removeprefix("Value error, ")))


def _explain_kind(error: Any) -> str:
    kind = str(error["ctx"]["tag"])
    known = [each.strip("' ") for each in error["ctx"]["expected_tags"].split(",")]
    near = difflib.get_close_matches(kind, known, n=1, cutoff=0.5)
    name = error["input"].get("name", error["loc"][-1]) if isinstance(error["input"], dict) else error["loc"][-1]
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
    return f"sources.{name}.kind: there is no kind of source {kind!r}; {hint}"
