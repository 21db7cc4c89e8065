"""DOOR: the service as config.toml and the templates are now, for those who change its looks while it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Lock

from digest.app import App
from digest.app.mail import renderer_of
from digest.config import Config
from digest.config.reading import read_config
from digest.mail.templating import names_in

Stamp = tuple[tuple[str, int, int], ...]


class Looks:
    """Looks at the files each time it is asked; what is being sent goes on as it was when the service started."""

    def __init__(self, app: App) -> None:
        self._app = self._now = app
        self._lock = Lock()
        self._first = self._seen = stamp(app.config)

    def now(self) -> App:
        """The service with the files as they are now. Raises ConfigurationError."""
        with self._lock:
            if stamp(self._now.config) != self._seen:
                config = read_config(self._app.config.file) if self._app.config.file else self._app.config
                self._now = replace(self._app, config=config, renderer=renderer_of(config))
                self._seen = stamp(config)
            return self._now

    @property
    def have_changed(self) -> bool:
        """Whether the running service still sends with what was there before."""
        return self._seen != self._first


def stamp(config: Config) -> Stamp:
    """What tells that a file was changed: path, time in nanoseconds, bytes."""
    files = [config.file] if config.file else []
    if config.theme.templates:
        folder: Path = config.folder / config.theme.templates
        files += [folder / name for name in names_in(folder)]
    states = [(str(each), each.stat()) for each in files if each.is_file()]
    return tuple((name, state.st_mtime_ns, state.st_size) for name, state in states)
