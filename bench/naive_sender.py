"""Newsletters as most programs send them: python -m bench.naive_sender MESSAGE PORT COUNT CONNECTIONS.

Prints the seconds from the first connection to the last answer. What the reader's template is made of comes from
one of our own messages, so that both send the same letter.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import sys
import time
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
from jinja2 import Environment, Template


class Letter:
    """Templates of the two parts, rendered anew for each reader."""

    def __init__(self, content: bytes) -> None:
        sample = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(sample, EmailMessage)
        self.subject = sample["Subject"]
        self.text, self.html = (self._template(sample, kind) for kind in ("plain", "html"))

    def to(self, number: int) -> EmailMessage:
        """One reader's message."""
        link = f"https://recap.news.example.com/unsubscribe/{number:024d}"
        message = EmailMessage()
        message["From"] = "The Weekly Recap <recap@news.example.com>"
        message["To"] = f"reader{number}@example.com"
        message["Subject"] = self.subject
        message["List-Unsubscribe"] = f"<{link}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(self.text.render(unsubscribe=link))
        message.add_alternative(self.html.render(unsubscribe=link), subtype="html")
        return message

    @staticmethod
    def _template(sample: EmailMessage, kind: str) -> Template:
        """The part with its unsubscribe link opened up again."""
        part = sample.get_body((kind,))
        assert part is not None
        link = sample["List-Unsubscribe"].strip("<>")
        return Environment(autoescape=kind == "html").from_string(part.get_content().replace(link, "{{ unsubscribe }}"))


async def send(letter: Letter, port: int, count: int, connections: int) -> float:
    """Every connection takes its share. Returns the seconds it took."""

    async def line(numbers: range) -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as session:
            for number in numbers:
                await session.send_message(letter.to(number))

    began = time.perf_counter()
    await asyncio.gather(*(line(range(first, count, connections)) for first in range(connections)))
    return time.perf_counter() - began


if __name__ == "__main__":
    made = Letter(Path(sys.argv[1]).read_bytes())
    print(asyncio.run(send(made, *map(int, sys.argv[2:5]))))
