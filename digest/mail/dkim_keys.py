"""Keys for DKIM: made here, and compared with what the DNS says of them (RFC 6376 section 3.6.1, RFC 8463)."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from digest.errors import ConfigurationError, UsageError
from digest.mail.dkim import read_pem

BITS = (2048, 3072, 4096)  # RFC 8301 section 3.2: at least 1024, better 2048
_LONGEST_STRING = 255  # octets of one string in a TXT record (RFC 1035 section 3.3)
_SELECTOR = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def checked_selector(selector: str) -> str:
    """A selector that can stand in the DNS. Raises UsageError."""
    if not _SELECTOR.fullmatch(selector):
        raise UsageError(f"{selector!r} cannot be a selector: letters, digits and hyphens, such as digest2026")
    return selector


def new_rsa(bits: int) -> rsa.RSAPrivateKey:
    """A new RSA key. Raises UsageError."""
    if bits not in BITS:
        raise UsageError(f"--bits {bits}: take one of {', '.join(map(str, BITS))}")
    return rsa.generate_private_key(65537, bits)


def new_ed25519() -> ed25519.Ed25519PrivateKey:
    """A new Ed25519 key, for a second signature beside RSA's."""
    return ed25519.Ed25519PrivateKey.generate()


def write(key: PrivateKey, path: Path) -> None:
    """Write the key as PEM that only its owner may read. Raises UsageError when there is a file already."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # With its rights from the first moment on, and never over another key: mail may be signed with it.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already and stays as it is; choose another --selector or --out") from None
    with os.fdopen(file, "wb") as opened:
        opened.write(pem)
        opened.flush()
        os.fsync(opened.fileno())


def read(path: Path) -> PrivateKey:
    """A key from its PEM file. Raises ConfigurationError."""
    key = read_pem(path)
    if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise ConfigurationError([f"dkim: the key {path.name} is neither RSA nor Ed25519"])
    return key


def record(key: PrivateKey) -> str:
    """What the TXT record says."""
    kind = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ed25519"
    return f"v=DKIM1; k={kind}; p={_published(key)}"


def _published(key: PrivateKey) -> str:
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    else:  # RFC 8463 section 4.2: the bare key
        form = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(public.public_bytes(*form)).decode("ascii")


def strings(text: str) -> list[str]:
    """The record in strings of a length the DNS can hold; whoever reads it puts them together without a space."""
    return [text[at : at + _LONGEST_STRING] for at in range(0, len(text), _LONGEST_STRING)]


def joined(text: str) -> str:
    """A TXT record as tools print it, in one piece: quoted strings side by side, or bare text."""
    quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
    return "".join(quoted).replace("\\;", ";") if quoted else " ".join(text.replace("\\;", ";").split())


def _other_record(text: str) -> str:
    """What a record is that was taken for the key's."""
    said = text.strip().lower()
    for start, name in (("v=spf1", "the SPF record"), ("v=dmarc1", "the DMARC record")):
        if said.startswith(start):
            return f"this is {name}; the key's stands at the name SELECTOR._domainkey.DOMAIN"
    return "" if said else "there is no record: nothing was published yet, or under another name"


def mistakes(key: PrivateKey, text: str) -> Iterator[str]:
    """What is wrong with a TXT record that should publish the key; nothing when verifiers will take it."""
    parts = [each.partition("=") for each in joined(text).split(";") if each.strip()]
    tags = {name.strip(): re.sub(r"\s", "", value) for name, _, value in parts}
    kind = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ed25519"
    if "p" not in tags:
        yield _other_record(joined(text)) or "it has no p=, so it publishes no key"
        return
    if tags.get("v", "DKIM1") != "DKIM1" or (joined(text).strip() and "v" in tags and next(iter(tags)) != "v"):
        yield "it must begin with v=DKIM1"
    if (named := tags.get("k", "rsa").lower()) != kind:
        yield f"it says k={named}, and the key is {kind}"
    if not tags["p"]:
        yield "its p= is empty, which means that the key was revoked"
    elif tags["p"] != _published(key):
        wanted = _published(key)
        yield "it is cut off" if wanted.startswith(tags["p"]) else "it publishes another key"
    if "sha256" not in tags.get("h", "sha256").split(":"):
        yield f"h={tags['h']} does not allow sha256, which Digest signs with"
    if "*" not in (services := tags.get("s", "*").split(":")) and "email" not in services:
        yield f"s={tags['s']} does not allow mail"
    if "y" in tags.get("t", "").split(":"):
        yield "t=y says that it is only a test: verifiers act as if the mail were not signed"
