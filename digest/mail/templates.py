"""Templates, ours and a publisher's own: where they are, and what is wrong with one in words that find the place."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, TemplateError, TemplateNotFound, TemplateSyntaxError

from digest.errors import RenderError


def templates_folder() -> Path:
    """Where the templates are: in the wheel beside the code, in a checkout at its root."""
    packaged = Path(str(files("digest"))) / "templates"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "templates"


def filled(environment: Environment, name: str, context: Mapping[str, object]) -> str:
    """The template's text. Raises RenderError with the file and the line: a publisher may have written it."""
    try:
        made = environment.get_template(name).render(context)
    except TemplateSyntaxError as error:
        raise RenderError("template", f"{error.filename or name}, line {error.lineno}: {error.message}") from None
    except TemplateNotFound as error:
        raise RenderError("template", f"{_place(error, name)}: there is no template {error.name!r}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RenderError("template", f"{name}, or one it includes, line {line}: it is not UTF-8") from None
    except Exception as error:  # a template may do whatever an expression can
        words = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        raise RenderError("template", f"{_place(error, name)}: {words}") from None
    if not made.strip() and not name.endswith("subject.txt"):  # an empty subject is for the preflight to tell
        raise RenderError("template", f"{name}: nothing comes of it")
    return made


def _place(error: Exception, name: str) -> str:
    """The line of a template an error comes from; Jinja2 writes it into the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [each for each in frames if each.filename.endswith((".html", ".txt"))]
    return f"{inside[-1].filename}, line {inside[-1].lineno}" if inside else name
