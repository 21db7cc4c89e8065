"""Who is asking: the client's address, believed only as far as the operator trusts the proxies before us."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from limits import RateLimitItemPerHour
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request

IP = IPv4Address | IPv6Address


class Clients:
    """Finds a client's address, shortens it for keeping, and limits sign-ups by network."""

    def __init__(self, trusted_proxies: tuple[str, ...], sign_ups_per_hour: int) -> None:
        self._trusted = [ip_network(each, strict=False) for each in trusted_proxies]
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._limit = RateLimitItemPerHour(sign_ups_per_hour)

    def address(self, request: Request) -> IP | None:
        """The peer, or the last address in X-Forwarded-For that no trusted proxy has."""
        peer = _parse(request.client.host if request.client else "")
        forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        while peer is not None and self._trusts(peer) and forwarded:
            before = _parse(forwarded.pop().strip())
            if before is None:
                break
            peer = before
        return peer

    def may_sign_up(self, address: IP | None) -> bool:
        """Count one sign-up from this network.

        Addresses of this machine or a private network are let through: behind a proxy that nobody told
        us to trust, every reader would seem to come from one of them.
        """
        if address is None or address.is_private or address.is_loopback:
            return True
        return self._limiter.hit(self._limit, str(ip_network(f"{address}/{24 if address.version == 4 else 64}", False)))

    def _trusts(self, address: IP) -> bool:
        return any(address.version == network.version and address in network for network in self._trusted)


def shortened(address: IP | None) -> str:
    """The network only (/24 or /48), which is enough for a proof and not more than that."""
    if address is None:
        return ""
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False).network_address)


def _parse(text: str) -> IP | None:
    host = text.removeprefix("[").partition("]")[0]  # some proxies add the port: [2001:db8::1]:443, 192.0.2.1:443
    try:
        address = ip_address(host.partition(":")[0] if host.count(":") == 1 else host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
