"""DKIM keys for a service under test, and the zone they are published in."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

DOMAIN = "news.example.com"


@dataclass(frozen=True)
class Keys:
    """The `dkim` section of a configuration whose folder holds the keys, and their DNS records: name -> text."""

    section: dict[str, str]
    records: dict[str, str]

    def dns(self, name: bytes, timeout: int = 5) -> bytes | None:
        """As dkimpy asks."""
        record = self.records.get(name.decode().rstrip("."))
        return record.encode() if record else None


def make_keys(folder: Path) -> Keys:
    """An RSA key of 2048 bits and an Ed25519 key, as PEM files in `folder`."""
    big, small = rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()
    for name, key in (("big", big), ("small", small)):
        pem, pkcs8, bare = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / f"{name}.pem").write_bytes(key.private_bytes(pem, pkcs8, bare))
    info = big.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = small.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return Keys(
        {"selector": "big", "key_file": "big.pem", "ed25519_selector": "small", "ed25519_key_file": "small.pem"},
        {
            f"big._domainkey.{DOMAIN}": f"v=DKIM1; k=rsa; p={base64.b64encode(info).decode()}",
            f"small._domainkey.{DOMAIN}": f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}",
        },
    )
