"""Who posts to a webhook: providers' signatures and secrets, compared in constant time."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

Fetch = Callable[[str], Awaitable[bytes]]  # an https address of Amazon's to what is there. Raises SourceError

_OF_SNS = r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE = re.compile(rf"{_OF_SNS}/[A-Za-z0-9_-]{{1,200}}\.pem")
_SUBSCRIBING = re.compile(rf"{_OF_SNS}/\?[\x21-\x7e]{{1,2000}}")
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "1": hashes.SHA1,  # what SNS signs with unless a topic asks for version 2
    "2": hashes.SHA256,
}
# What SNS signs, in this order, each name and value on a line of its own.
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_MOST_CERTIFICATES = 16
# Mailgun tries for eight hours, and warns of delays of its own: what comes late must not be lost. What comes twice
# changes nothing anyway.
_LONGEST_UNDER_WAY = timedelta(hours=12)
_SECONDS = re.compile(r"[0-9]{1,12}")


class Sns:
    """Amazon's signatures: a certificate is fetched from an SNS host only, and kept."""

    def __init__(self, fetch: Fetch) -> None:
        self.fetch = fetch
        self._certificates: dict[str, x509.Certificate] = {}

    async def is_signed(self, message: Mapping[str, Any], now: datetime) -> bool:
        """Whether Amazon signed this. Raises SourceError when its certificate cannot be fetched."""
        url, version = str(message.get("SigningCertURL", "")), str(message.get("SignatureVersion", ""))
        names = _SIGNED.get(str(message.get("Type", "")))
        if names is None or version not in _HASHES or not _CERTIFICATE.fullmatch(url):
            return False
        signed = "".join(f"{name}\n{message[name]}\n" for name in names if message.get(name) is not None)
        certificate = await self._certificate(url)
        if certificate is None or not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return False
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            return False
        try:
            signature = base64.b64decode(str(message.get("Signature", "")), validate=True)
            key.verify(signature, signed.encode("utf-8", "replace"), padding.PKCS1v15(), _HASHES[version]())
        except (InvalidSignature, binascii.Error):
            return False
        return True

    async def _certificate(self, url: str) -> x509.Certificate | None:
        if url not in self._certificates:
            try:
                found = x509.load_pem_x509_certificate(await self.fetch(url))
            except (ValueError, UnsupportedAlgorithm):
                return None
            if len(self._certificates) >= _MOST_CERTIFICATES:
                self._certificates.clear()
            self._certificates[url] = found
        return self._certificates[url]


def confirms_at(message: Mapping[str, Any]) -> str:
    """Where SNS wants to be asked to begin; empty when that is no address of its own."""
    url = str(message.get("SubscribeURL", ""))
    return url if _SUBSCRIBING.fullmatch(url) else ""


def is_of_mailgun(signature: Any, key: str, now: datetime) -> bool:
    """HMAC-SHA256 of timestamp and token with the account's webhook signing key, not made too long ago."""
    if not isinstance(signature, Mapping) or not _is_fresh(str(signature.get("timestamp", "")), now):
        return False
    signed = f"{signature.get('timestamp', '')}{signature.get('token', '')}".encode("utf-8", "replace")
    expected = hmac.digest(key.encode(), signed, "sha256").hex()
    return hmac.compare_digest(expected.encode(), str(signature.get("signature", "")).encode("utf-8", "replace"))


def _is_fresh(timestamp: str, now: datetime) -> bool:
    """Whether a moment in seconds since 1970 is near enough; clocks may differ, so one ahead of ours is as good."""
    if not _SECONDS.fullmatch(timestamp):
        return False
    return abs(now.timestamp() - int(timestamp)) <= _LONGEST_UNDER_WAY.total_seconds()


def is_of_sendgrid(public_key: str, timestamp: str, signature: str, body: bytes) -> bool:
    """ECDSA with SHA-256 over the timestamp header and the body as it came."""
    try:
        key = serialization.load_der_public_key(base64.b64decode(public_key, validate=True))
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        signed = timestamp.encode("latin-1", "replace") + body
        key.verify(base64.b64decode(signature, validate=True), signed, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def shows(authorization: str, secret: str) -> bool:
    """Whether an Authorization header shows the secret: as a bearer token, or as the password of any user."""
    scheme, _, said = authorization.partition(" ")
    shown = b""
    if scheme.lower() == "bearer":
        shown = said.strip().encode("latin-1", "replace")
    elif scheme.lower() == "basic":
        try:
            shown = base64.b64decode(said.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            shown = b""
    return hmac.compare_digest(shown, secret.encode())
