"""Signing in to Google as a service account: the key file, and the signed claim that is traded for an access token.

OAuth 2.0 for server to server applications: a JWT (RFC 7519) signed with RS256 goes to `token_uri` as the grant
urn:ietf:params:oauth:grant-type:jwt-bearer (RFC 7523); the answer is `access_token`, valid for an hour.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from digest.config.types import is_loopback
from digest.errors import SourceError

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_VALID = timedelta(hours=1)  # the most Google allows
_LARGEST_FILE = 100_000  # bytes
_KEYS = ("client_email", "private_key", "token_uri")
_NEW_KEY = "Download a new JSON key of the service account in the Google Cloud console"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account: its address, where it gets tokens, and the key it proves itself with."""

    email: str
    token_uri: str
    key: RSAPrivateKey = field(repr=False)
    key_id: str = ""

    @classmethod
    def read(cls, source: str, path: Path) -> ServiceAccount:
        """From the JSON key file at `path`. Raises SourceError."""
        content = _content(source, path)
        missing = [name for name in _KEYS if not isinstance(content.get(name), str) or not content[name].strip()]
        if missing:
            kind = f" It is of type {content['type'][:40]!r}." if isinstance(content.get("type"), str) else ""
            raise SourceError(source, str(path), f"it has no {' and no '.join(missing)}.{kind}".rstrip("."), _NEW_KEY)
        token_uri = content["token_uri"]
        parts = urlsplit(token_uri)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise SourceError(source, str(path), f"its token_uri is {token_uri[:100]!r}, which is not https", _NEW_KEY)
        key_id = content.get("private_key_id")
        key = _key(source, path, content["private_key"])
        return cls(content["client_email"], token_uri, key, key_id if isinstance(key_id, str) else "")

    def assertion(self, scope: str, now: datetime) -> str:
        """The signed claim that asks for a token for `scope`."""
        header = {"alg": "RS256", "typ": "JWT", **({"kid": self.key_id} if self.key_id else {})}
        issued = int(now.timestamp())
        claims = {
            "iss": self.email,
            "scope": scope,
            "aud": self.token_uri,
            "iat": issued,
            "exp": issued + int(_VALID.total_seconds()),
        }
        signed = f"{_written(json.dumps(header).encode())}.{_written(json.dumps(claims).encode())}"
        return f"{signed}.{_written(self.key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _content(source: str, path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE)
    except OSError as error:
        remedy = "Check credentials_file in config.toml; it is relative to that file"
        raise SourceError(source, str(path), f"it cannot be read: {error.strerror}", remedy) from None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise SourceError(source, str(path), "it is not JSON", _NEW_KEY) from None
    if not isinstance(content, dict):
        raise SourceError(source, str(path), "it is JSON, but no key of a service account", _NEW_KEY)
    return content


def _key(source: str, path: Path, pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # nothing of the key may be shown
        raise SourceError(source, str(path), "its private_key is broken", _NEW_KEY) from None
    if not isinstance(key, RSAPrivateKey):
        raise SourceError(source, str(path), "its private_key is no RSA key", _NEW_KEY)
    return key


def _written(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
