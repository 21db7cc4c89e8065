"""What a service has to say, on standard error: addresses are masked in every line, whoever wrote it."""

from __future__ import annotations

import logging

from digest.domain.masking import masked


class Masking(logging.Formatter):
    """Formats a line and its traceback, and takes the addresses out of both."""

    def format(self, record: logging.LogRecord) -> str:
        """The line as it is written."""
        return masked(super().format(record))


def log_to_stderr() -> None:
    """Begin to log."""
    handler = logging.StreamHandler()
    handler.setFormatter(Masking("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("alembic", "apscheduler", "httpx", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
