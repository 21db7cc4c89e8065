"""Links that act for one person and one purpose: signed, not stored, compared in constant time."""

from __future__ import annotations

import base64
import hmac
import struct
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from digest.errors import InvalidToken

_MAC = 16  # bytes: 128 bits
_SHORT_MAC = 10  # bytes, in bounce addresses, where RFC 5321 leaves 64 octets in all
_NUMBER = struct.Struct(">Q")
_NUMBER_AND_TIME = struct.Struct(">QQ")
_EDITION_AND_POSITION = struct.Struct(">QH")
_ARTICLE_AND_PICTURE = struct.Struct(">Q8s")


class Purpose(StrEnum):
    """What a link may do; each purpose signs with a key of its own."""

    CONFIRM = "confirm"
    UNSUBSCRIBE = "unsubscribe"
    BOUNCE = "bounce"
    MESSAGE = "message"
    ADDRESS = "address"
    PROGRESS = "progress"
    PREVIEW = "preview"
    CLICK = "click"
    PICTURE = "picture"
    PREFERENCES = "preferences"
    LEAVE_BY_MAIL = "leave by mail"
    RETURN = "return"
    OWN_DATA = "own data"
    ERASURE = "erasure"
    FORM = "form"


class Links:
    """Makes and reads every link and token. `secret` is the installation's, `base_url` the public web address."""

    def __init__(self, secret: str, base_url: str) -> None:
        self._keys = {each: hmac.digest(secret.encode(), b"digest " + each.encode(), "sha256") for each in Purpose}
        self._base_url = base_url.rstrip("/")

    def url(self, path: str) -> str:
        """A public address of ours; never made from a request's Host header."""
        return f"{self._base_url}/{path.lstrip('/')}"

    def confirm(self, subscription_id: int, requested_at: datetime) -> str:
        """The confirmation link. It is bound to this very request: a later one, or an unsubscribe, voids it."""
        return self.url(f"confirm/{self.timed(Purpose.CONFIRM, subscription_id, requested_at)}")

    def read_confirm(self, token: str, now: datetime, valid_for: timedelta) -> tuple[int, datetime]:
        """(subscription id, requested_at) of a confirmation token. Raises InvalidToken."""
        return self.read_timed(Purpose.CONFIRM, token, now, valid_for)

    def unsubscribe(self, subscription_id: int) -> str:
        """The unsubscribe link, for the header (RFC 8058) and the body. It never expires."""
        return self.url(f"unsubscribe/{self._seal(Purpose.UNSUBSCRIBE, _NUMBER.pack(subscription_id))}")

    def read_unsubscribe(self, token: str) -> int:
        """The subscription id. Raises InvalidToken."""
        number: int
        (number,) = _NUMBER.unpack(self._open(Purpose.UNSUBSCRIBE, token, _NUMBER.size))
        return number

    def preferences(self, subscription_id: int) -> str:
        """The link to a reader's preference page. It never expires."""
        return self.url(f"preferences/{self._seal(Purpose.PREFERENCES, _NUMBER.pack(subscription_id))}")

    def read_preferences(self, token: str) -> int:
        """The subscription id. Raises InvalidToken."""
        number: int
        (number,) = _NUMBER.unpack(self._open(Purpose.PREFERENCES, token, _NUMBER.size))
        return number

    def leaving(self, subscription_id: int) -> tuple[str, str]:
        """The unsubscribe and the preferences link, as every digest has both."""
        return self.unsubscribe(subscription_id), self.preferences(subscription_id)

    def own_data(self, subscription_id: int, asked_at: datetime) -> str:
        """The link to what is known of a reader, as their mail has it."""
        return self.url(f"own-data/{self.timed(Purpose.OWN_DATA, subscription_id, asked_at)}")

    def erasure(self, subscription_id: int, asked_at: datetime) -> str:
        """The link by which a reader is forgotten, as their mail has it."""
        return self.url(f"forget/{self.timed(Purpose.ERASURE, subscription_id, asked_at)}")

    def timed(self, purpose: Purpose, subscription_id: int, at: datetime) -> str:
        """A token for one act of one reader, bound to the moment `at`: RETURN, OWN_DATA or ERASURE."""
        return self._seal(purpose, _NUMBER_AND_TIME.pack(subscription_id, _microseconds(at)))

    def read_timed(self, purpose: Purpose, token: str, now: datetime, valid_for: timedelta) -> tuple[int, datetime]:
        """(subscription id, the moment it is bound to). Raises InvalidToken, also when `valid_for` is over."""
        number, micro = _NUMBER_AND_TIME.unpack(self._open(purpose, token, _NUMBER_AND_TIME.size))
        at = _moment(micro)
        if now > at + valid_for:
            raise InvalidToken(purpose, expired=True)
        return number, at

    def progress(self, edition_id: int) -> str:
        """The link that shows how far an edition is."""
        return self.url(f"api/v1/progress/{self._seal(Purpose.PROGRESS, _NUMBER.pack(edition_id))}")

    def read_progress(self, token: str) -> int:
        """The edition id. Raises InvalidToken."""
        number: int
        (number,) = _NUMBER.unpack(self._open(Purpose.PROGRESS, token, _NUMBER.size))
        return number

    def click(self, edition_id: int, position: int) -> str:
        """The counted link to an edition's article: the same for every reader."""
        return self.url(f"r/{self._seal(Purpose.CLICK, _EDITION_AND_POSITION.pack(edition_id, position))}")

    def read_click(self, token: str) -> tuple[int, int]:
        """(edition id, position). Raises InvalidToken."""
        sealed = self._open(Purpose.CLICK, token, _EDITION_AND_POSITION.size)
        edition_id, position = _EDITION_AND_POSITION.unpack(sealed)
        return edition_id, position

    def picture(self, article_id: int, version: bytes) -> str:
        """The address of an article's picture as we resize it; `version` is eight bytes, others for another picture."""
        return self.url(f"img/{self._seal(Purpose.PICTURE, _ARTICLE_AND_PICTURE.pack(article_id, version))}.jpg")

    def read_picture(self, token: str) -> tuple[int, bytes]:
        """(article id, version). Raises InvalidToken."""
        sealed = self._open(Purpose.PICTURE, token, _ARTICLE_AND_PICTURE.size)
        article_id, version = _ARTICLE_AND_PICTURE.unpack(sealed)
        return article_id, version

    def preview(self, edition_id: int) -> str:
        """The link that shows how an edition looks."""
        return self.url(f"desk/preview/{self._seal(Purpose.PREVIEW, _NUMBER.pack(edition_id))}")

    def read_preview(self, token: str) -> int:
        """The edition id. Raises InvalidToken."""
        number: int
        (number,) = _NUMBER.unpack(self._open(Purpose.PREVIEW, token, _NUMBER.size))
        return number

    def envelope_sender(self, bounce_address: str, delivery_id: int) -> str:
        """The VERP address bounces of this delivery return to; case does not matter in it (RFC 5321 allows either)."""
        return self._address(Purpose.BOUNCE, bounce_address, delivery_id)

    def read_envelope_sender(self, address: str) -> int:
        """The delivery id a bounce address names. Raises InvalidToken for any address that is not ours."""
        return self._read_address(Purpose.BOUNCE, address)

    def leave_by_mail(self, unsubscribe_address: str, subscription_id: int) -> str:
        """The address a message to which unsubscribes (RFC 2369 section 3.2). It never expires."""
        return self._address(Purpose.LEAVE_BY_MAIL, unsubscribe_address, subscription_id)

    def read_leave_by_mail(self, address: str) -> int:
        """The subscription id such an address names. Raises InvalidToken for any address that is not ours."""
        return self._read_address(Purpose.LEAVE_BY_MAIL, address)

    def _address(self, purpose: Purpose, address: str, number: int) -> str:
        payload = _NUMBER.pack(number)
        mac = hmac.digest(self._keys[purpose], payload, "sha256")[:_SHORT_MAC]
        token = base64.b32encode(payload + mac).decode().rstrip("=").lower()
        local, _, domain = address.partition("@")
        return f"{local}+{token}@{domain}"

    def _read_address(self, purpose: Purpose, address: str) -> int:
        token = address.partition("@")[0].rpartition("+")[2].upper()
        try:
            sealed = base64.b32decode(token + "=" * (-len(token) % 8))
        except ValueError:
            raise InvalidToken(purpose) from None
        payload, mac = sealed[: _NUMBER.size], sealed[_NUMBER.size :]
        if not hmac.compare_digest(mac, hmac.digest(self._keys[purpose], payload, "sha256")[:_SHORT_MAC]):
            raise InvalidToken(purpose)
        number: int
        (number,) = _NUMBER.unpack(payload)
        return number

    def message_id(self, delivery_id: int, domain: str) -> str:
        """The Message-ID of a delivery: the same however often it is attempted, and not to be guessed."""
        mac = hmac.digest(self._keys[Purpose.MESSAGE], _NUMBER.pack(delivery_id), "sha256")[:8]
        return f"<{delivery_id}.{mac.hex()}@{domain}>"

    def read_message_id(self, message_id: str) -> int:
        """The delivery a Message-ID of ours belongs to; 0 for any other."""
        number, _, mac = message_id.strip("<> ").partition("@")[0].partition(".")
        # The length first: Python refuses to read a number of more than 4,300 digits, and reports come from anywhere.
        if len(number) > 19 or not (number.isascii() and number.isdecimal()) or int(number) >= 1 << 63:
            return 0
        expected = hmac.digest(self._keys[Purpose.MESSAGE], _NUMBER.pack(int(number)), "sha256")[:8].hex()
        return int(number) if hmac.compare_digest(mac.encode("utf-8", "replace"), expected.encode()) else 0

    def address_hash(self, address_key: str) -> str:
        """What is left of an address after it was forgotten: enough to know it again, nothing to mail."""
        return hmac.digest(self._keys[Purpose.ADDRESS], address_key.encode(), "sha256").hex()

    @property
    def fingerprint(self) -> str:
        """Tells one secret's address hashes from another's, and nothing of the secret."""
        return hmac.digest(self._keys[Purpose.ADDRESS], b"fingerprint", "sha256").hex()[:16]

    def _seal(self, purpose: Purpose, payload: bytes) -> str:
        mac = hmac.digest(self._keys[purpose], payload, "sha256")[:_MAC]
        return base64.urlsafe_b64encode(payload + mac).decode().rstrip("=")

    def _open(self, purpose: Purpose, token: str, size: int) -> bytes:
        try:
            sealed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise InvalidToken(purpose) from None
        payload, mac = sealed[:size], sealed[size:]
        if not hmac.compare_digest(mac, hmac.digest(self._keys[purpose], payload, "sha256")[:_MAC]):
            raise InvalidToken(purpose)
        return payload


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC) + timedelta(microseconds=microseconds % 1_000_000)


def _microseconds(moment: datetime) -> int:
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
