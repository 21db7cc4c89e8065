"""Measurements of the sending: how fast, at what cost, beside Postfix's own generator. `python -m bench --help`."""
