"""Who is asking: the client's address, believed only as far as the operator trusts the proxies before us."""

from __future__ import annotations

import logging
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.requests import Request

IP = IPv4Address | IPv6Address
log = logging.getLogger("digest.web")


class Clients:
    """Finds a client's address, and its network, by which sign-ups are counted."""

    def __init__(self, trusted_proxies: tuple[str, ...]) -> None:
        self._trusted = [ip_network(each, strict=False) for each in trusted_proxies]
        self._has_warned = False

    def address(self, request: Request) -> IP | None:
        """The peer, or the last address in X-Forwarded-For that no trusted proxy has."""
        peer = parse_ip(request.client.host if request.client else "")
        forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        while peer is not None and self._trusts(peer) and forwarded:
            before = parse_ip(forwarded.pop().strip())
            if before is None:
                break
            peer = before
        return peer

    def network(self, address: IP | None) -> str:
        """The client's network, /24 or /64; empty when all that can be seen is a proxy that nobody told us to trust.

        Every reader would seem to come from there, and to count them together would shut the door on all. That is
        only so while no proxy is trusted: what a trusted one says counts, whatever a client wrote into its header.
        """
        if address is None:
            return ""
        if not self._trusted and not address.is_global:
            self._warn(address)
            return ""
        return str(ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False))

    def _warn(self, address: IP) -> None:
        if not self._has_warned and not address.is_loopback:
            self._has_warned = True
            log.warning("sign-ups come from %s: if that is your proxy, name it in [web] trusted_proxies", address)

    def _trusts(self, address: IP) -> bool:
        return any(address.version == network.version and address in network for network in self._trusted)


def shortened(address: IP | None) -> str:
    """The network only (/24 or /48), which is enough for a proof and not more than that."""
    if address is None:
        return ""
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False).network_address)


def parse_ip(text: str) -> IP | None:
    """An address as proxies write it, or None."""
    host = text.removeprefix("[").partition("]")[0]  # some add the port: [2001:db8::1]:443, 192.0.2.1:443
    try:
        address = ip_address(host.partition(":")[0] if host.count(":") == 1 else host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        return IPv6Address(int(address))  # without a zone, which is of that machine only
    return address
