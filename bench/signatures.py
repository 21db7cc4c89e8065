"""Checking DKIM signatures with dkimpy, which had no part in making them."""

from __future__ import annotations

import base64
import importlib
import re
from collections.abc import Mapping
from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.errors import BenchBroken


def public_record(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> bytes:
    """The TXT record of a key (RFC 6376 section 3.6.1, RFC 8463 section 4)."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        kind, public = b"ed25519", key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        kind, public = b"rsa", key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=" + kind + b"; p=" + base64.b64encode(public)


def good_signatures(message: bytes, records: Mapping[str, bytes]) -> list[str]:
    """The selectors of the message's good signatures; a bad one is no member. `records` stand for DNS."""
    try:
        dkim = importlib.import_module("dkim")
    except ImportError:
        raise BenchBroken("dkimpy is missing: pip install dkimpy pynacl") from None

    def look_up(name: bytes, timeout: float = 5) -> bytes | None:
        return records.get(name.decode().rstrip("."))

    headers = re.sub(rb"\r\n[ \t]+", b" ", message.partition(b"\r\n\r\n")[0])
    signatures = re.findall(rb"^DKIM-Signature:(.*)", headers, re.M | re.I)
    checker = dkim.DKIM(message)
    good = []
    for index, signature in enumerate(signatures):
        with suppress(dkim.DKIMException):  # some kinds of bad it raises, others it returns
            if checker.verify(idx=index, dnsfunc=look_up):
                good.append(_selector(signature))
    return good


def _selector(signature: bytes) -> str:
    found = re.search(rb"\bs=\s*([\w.-]+)", signature)
    return found[1].decode() if found else ""
