"""DKIM signatures for those whose mail leaves without a signing relay (RFC 6376, 8301, 8463).

Made for the hot path: the body goes out as it is hashed ("simple": it ends in one CRLF, nothing stuffs or folds
it), and header fields are brought into their "relaxed" form by a few bytes operations.
"""

from __future__ import annotations

import base64
import hashlib
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from digest.errors import ConfigurationError

# Signed where there; those in OVERSIGNED once more than there, so that nobody can add another (RFC 6376 section 5.4.2).
SIGNED = (
    *("from", "reply-to", "subject", "date", "to", "message-id", "mime-version", "content-type", "content-language"),
    *("list-id", "list-unsubscribe", "list-unsubscribe-post", "feedback-id", "auto-submitted"),
)
OVERSIGNED = ("from", "subject", "to", "date", "reply-to", "list-unsubscribe", "list-unsubscribe-post", "content-type")
_FIELD = re.compile(rb"([^:\r\n]+):((?:[^\r\n]|\r\n[ \t])*)\r\n")
_BLANKS = re.compile(rb"[ \t]+")
_LEAST_BITS = 1024  # RFC 8301 section 3.2; less is not verified by anybody


@dataclass(frozen=True, slots=True)
class _Key:
    """A private key and the words that name it in a signature."""

    algorithm: bytes
    selector: bytes
    sign: Callable[[bytes], bytes]


class Signer:
    """Signs messages of one domain. Call it with the header fields and the body in pieces."""

    def __init__(self, domain: str, keys: list[_Key]) -> None:
        self._domain = domain.encode("ascii")
        self._keys = keys

    def __call__(self, head: bytes, body: list[bytes]) -> bytes:
        """The DKIM-Signature fields to put before the others."""
        digest = hashlib.sha256()
        for piece in body:
            digest.update(piece)
        body_hash = base64.b64encode(digest.digest())
        names, canonical = _relaxed(head)
        return b"".join(self._field(key, body_hash, names, canonical) for key in self._keys)

    def _field(self, key: _Key, body_hash: bytes, names: bytes, canonical: bytes) -> bytes:
        value = b"v=1; a=%b; c=relaxed/simple; d=%b;\r\n s=%b;\r\n h=%b;\r\n bh=%b;\r\n b=" % (
            key.algorithm,
            self._domain,
            key.selector,
            names,
            body_hash,
        )
        flat = _BLANKS.sub(b" ", value.replace(b"\r\n", b""))
        signature = base64.b64encode(key.sign(canonical + b"dkim-signature:" + flat))
        lines = b"\r\n ".join(signature[at : at + 72] for at in range(0, len(signature), 72))
        return b"DKIM-Signature: " + value + lines + b"\r\n"


def _relaxed(head: bytes) -> tuple[bytes, bytes]:
    """(the names for h=, the signed fields in relaxed form, RFC 6376 section 3.4.2)."""
    fields: dict[str, bytes] = {}
    for name, value in _FIELD.findall(head):
        fields[name.decode("ascii").lower()] = _BLANKS.sub(b" ", value.replace(b"\r\n", b"")).strip(b" ")
    there = [name for name in SIGNED if name in fields]
    canonical = b"".join(b"%b:%b\r\n" % (name.encode(), fields[name]) for name in there)
    names = textwrap.wrap(": ".join([*there, *OVERSIGNED]), 70, break_long_words=False, break_on_hyphens=False)
    return "\r\n  ".join(line.replace(": ", ":") for line in names).encode(), canonical


def load(domain: str, rsa_key: tuple[str, Path] | None, ed25519_key: tuple[str, Path] | None) -> Signer:
    """A signer from (selector, PEM file) pairs. Raises ConfigurationError that says what is wrong with which file."""
    keys = []
    for pair, kind in ((rsa_key, "rsa"), (ed25519_key, "ed25519")):
        if pair is not None:
            keys.append(_load(pair[0], pair[1], kind))
    return Signer(domain, keys)


def read_pem(path: Path) -> PrivateKeyTypes:
    """A private key from its PEM file. Raises ConfigurationError."""
    try:
        return serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        words = error.strerror if isinstance(error, OSError) else "it is no private key in PEM without a password"
        raise ConfigurationError([f"dkim: the key {path.name} cannot be read: {words}"]) from None


def _load(selector: str, path: Path, kind: str) -> _Key:
    key = read_pem(path)
    if kind == "rsa" and isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _LEAST_BITS:
        rsa_key, how, digest = key, padding.PKCS1v15(), hashes.SHA256()
        return _Key(b"rsa-sha256", selector.encode("ascii"), lambda signed: rsa_key.sign(signed, how, digest))
    if kind == "ed25519" and isinstance(key, ed25519.Ed25519PrivateKey):
        ed_key = key
        # RFC 8463 section 3: what is signed is the SHA-256 of it all.
        return _Key(
            b"ed25519-sha256", selector.encode("ascii"), lambda signed: ed_key.sign(hashlib.sha256(signed).digest())
        )
    wanted = f"an RSA key of {_LEAST_BITS} bits or more" if kind == "rsa" else "an Ed25519 key"
    raise ConfigurationError([f"dkim: the key {path.name} is not {wanted}"])
