"""Digest: the week's most read articles of a news site, by mail, to readers who asked for them.

Five flows tell the whole service, one module each; read them in this order:

- `subscribing`: signed up, pending, confirmed, unsubscribed.
- `collecting`: sources, then articles and the views each got.
- `publishing`: articles, picks, an edition: drafted, approved, frozen, queued.
- `delivering`: a due delivery, its message, the transport, the recorded outcome.
- `bouncing`: a report came back: whose is it, and what follows.
"""

__version__ = "0.1.0"
