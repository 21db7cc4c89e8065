"""What can go wrong in a bench itself, as opposed to a figure that misses its target."""

from __future__ import annotations


class BenchBroken(Exception):
    """The measurement cannot be believed, or could not be made at all. Says why."""


class NotOffered(Exception):
    """The program measured has no such feature; the bench leaves the figure out and says so."""
