"""Templates of mails: ours, and a publisher's that stand for them. A mistake in one is named with its file and line.

A publisher's files are found before ours of the same name. What goes wrong in one, from a missing `%}` to a letter
that is not UTF-8, becomes a TemplateMistake: one line that says where it is and what to do.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from traceback import extract_tb

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    meta,
    select_autoescape,
)
from jinja2.exceptions import TemplatesNotFound, UndefinedError
from jinja2.nodes import Template

from digest.errors import RenderError, TemplateMistake
from digest.mail.clean import direction
from digest.mail.languages import Language

_KINDS = (".html", ".txt")
_LONGEST_WHOLE = 36  # characters that are held on one line: more would not fit on a phone
_REMEDIES = (
    (r"expected token 'end of (statement block|print statement)'", "Close the {} before it."),
    (r"^unexpected ", "Close the {{ … }} or {% … %} before it."),
    (r"nexpected end of", "Each {% if %}, {% for %} and {% block %} needs its {% end… %}."),
    (r"nknown tag 'end", "It ends what was not begun: a tag above is missing or misspelt."),
    (r"nknown tag", "Templates know if, for, set, block, extends, include, from, macro and their ends."),
)  # fmt: skip


@cache  # pages ask for it at every request
def templates_folder() -> Path:
    """Where the templates are: in the wheel beside the code, in a checkout at its root."""
    packaged = Path(str(files("digest"))) / "templates"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "templates"


def our_mails() -> Path:
    """The folder of our own mails: what a publisher's folder may hold files for."""
    return templates_folder() / "email"


def names_in(folder: Path) -> list[str]:
    """The files below a folder as templates name them, hidden ones left out."""
    found = (each.relative_to(folder) for each in folder.rglob("*") if each.is_file())
    return sorted(each.as_posix() for each in found if not any(part.startswith(".") for part in each.parts))


class Templates:
    """The templates in one language; folders given first win."""

    def __init__(self, folders: Sequence[Path], spoken: Language, theme: Mapping[str, object]) -> None:
        self._folders = [*folders, our_mails()]
        self._loader = _Loader(self._folders, self._place)
        self._environment = made = Environment(
            loader=self._loader,
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            extensions=["jinja2.ext.i18n"],
        )
        made.install_gettext_translations(spoken.catalogue, newstyle=True)  # type: ignore[attr-defined]
        made.filters["wrapped"] = lambda text, *layout: wrapped(spoken.set(text), *layout)
        made.filters.update(direction=direction, whole=_whole)
        made.globals.update(language=spoken.code, theme=theme)

    def text(self, name: str, values: Mapping[str, object]) -> str:
        """What a template says. Raises TemplateMistake."""
        try:
            said = self._environment.get_template(name).render(values)
        except RenderError:
            raise
        except Exception as error:  # a template may fail like any program
            raise self._mistake(error, name, values) from error
        if not said.strip() and not name.endswith("subject.txt"):
            raise TemplateMistake(self.place_of(name), 1, "it is empty", "Fill it, or take it away: then ours is used.")
        return said

    def place_of(self, name: str) -> str:
        """The file that stands for a name, as a person at the desk knows it."""
        found = next((folder / name for folder in self._folders if (folder / name).is_file()), Path(name))
        return self._place(str(found))

    def mistakes(self) -> Iterator[str]:
        """What cannot be read in the first folder's files, one line each, before any of them is used."""
        for name in names_in(self._folders[0]):
            if name.endswith(_KINDS):
                try:
                    self._parsed(name)
                except TemplateMistake as mistake:
                    yield str(mistake)

    def strays(self) -> Iterator[str]:
        """Which of the first folder's files stand for nothing of ours and are used by none, one line each."""
        folder, ours = self._folders[0], names_in(self._folders[-1])
        own = names_in(folder)
        used: set[str] = set()
        for name in own:
            if name.endswith(_KINDS):
                with contextlib.suppress(TemplateMistake):
                    used |= {each for each in meta.find_referenced_templates(self._parsed(name)) if each}
        for name in own:
            if name not in ours and name not in used:
                near = difflib.get_close_matches(name, ours, n=1, cutoff=0.6)
                hint = f"did you mean {near[0]}?" if near else "`digest templates list` has the names"
                yield f"{self._place(str(folder / name))} stands for nothing of ours; {hint}"

    def _parsed(self, name: str) -> Template:
        """A file of the first folder, read and compiled. Raises TemplateMistake."""
        try:
            path = str(self._folders[0] / name)
            text, _, _ = self._loader.get_source(self._environment, name)
            parsed = self._environment.parse(text, name, path)
            self._environment.compile(self._environment.parse(text, name, path), name, path)
            return parsed
        except TemplateSyntaxError as error:
            raise self._mistake(error, name, {}) from None

    # --- what went wrong ------------------------------------------------------------------------

    def _mistake(self, error: Exception, name: str, values: Mapping[str, object]) -> TemplateMistake:
        """The error as its file, its line, what is wrong and what to do."""
        if isinstance(error, TemplateSyntaxError):
            return self._unreadable(error, name)
        place, line = self._where(error, name)
        if isinstance(error, TemplateNotFound):
            missing = error.templates[-1] if isinstance(error, TemplatesNotFound) and error.templates else error.name
            reason = f"there is no template {str(missing)!r}"
            return TemplateMistake(place, line, reason, _nearest(str(missing), self._environment.list_templates()))
        if isinstance(error, UndefinedError):
            said = str(error)
            if macro := re.search(r"the template '([^']+)'.* does not export the requested name '([^']+)'", said):
                return TemplateMistake(
                    self.place_of(macro[1]), 1, f"the macro {macro[2]!r} is missing", "Copy it from ours."
                )
            found = re.match(r"'([^']+)' is undefined", said) or re.search(r"has no attribute '([^']+)'", said)
            word = found[1] if found else ""
            known = [*values, *self._environment.globals] if " is undefined" in said else []
            remedy = _nearest(word, known, "docs/looks.md lists what templates know.")
            return TemplateMistake(place, line, f"nothing is known by the name {word!r}" if word else said, remedy)
        return TemplateMistake(place, line, f"{type(error).__name__}: {error}", "Compare the line with ours.")

    def _unreadable(self, error: TemplateSyntaxError, name: str) -> TemplateMistake:
        place = self._place(error.filename) if error.filename else self.place_of(error.name or name)
        said = (error.message or "it cannot be read").replace("token ", "")
        remedy = next((fix for pattern, fix in _REMEDIES if re.search(pattern, error.message or "")), "")
        brackets = "{{ … }}" if "print statement" in said else "{% … %}"
        reason = said[:1].lower() + said[1:].rstrip(".")
        return TemplateMistake(place, error.lineno, reason, remedy.replace("{}", brackets))

    def _where(self, error: Exception, name: str) -> tuple[str, int]:
        """The innermost template that was at work, which Jinja puts into the traceback with its own lines."""
        folders = tuple(str(folder) for folder in self._folders)
        at_work = [each for each in extract_tb(error.__traceback__) if each.filename.startswith(folders)]
        if not at_work:
            return self.place_of(name), 1
        return self._place(at_work[-1].filename), at_work[-1].lineno or 1

    def _place(self, filename: str) -> str:
        """A path as it is seen from the folder of config.toml; of one of ours, that it is."""
        for folder in self._folders[:-1]:
            if Path(filename).is_relative_to(folder):
                return f"{folder.name}/{Path(filename).relative_to(folder).as_posix()}"
        if Path(filename).is_relative_to(self._folders[-1]):
            return f"Digest's own {Path(filename).relative_to(self._folders[-1]).as_posix()}"
        return filename


class _Loader(FileSystemLoader):
    """Reads template files; one that is not UTF-8 is a mistake with a line."""

    def __init__(self, folders: Sequence[Path], place: Callable[[str], str]) -> None:
        super().__init__(folders)
        self._place = place

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, object]:  # type: ignore[override]
        """The text of a template, and where it is."""
        try:
            return super().get_source(environment, template)
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            folder = next(str(each) for each in self.searchpath if (Path(each) / template).is_file())
            raise TemplateMistake(
                self._place(f"{folder}/{template}"), line, "it is not UTF-8", "Save it again as UTF-8."
            ) from None


def _nearest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else otherwise


def _whole(text: str) -> str:
    """Text that stays on one line, where a phone has room for it."""
    return text.replace(" ", "\u00a0") if len(text) <= _LONGEST_WHOLE else text


def wrapped(text: str, width: int = 72, indent: str = "", hanging: str | None = None) -> str:
    """Text in lines of at most so many characters; words that are tied stay on one line.

    `indent` goes before each line; before all but the first `hanging`, if it is given.
    """
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
