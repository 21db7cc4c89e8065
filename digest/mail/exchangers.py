"""Whether a domain takes mail at all (RFC 5321 section 5.1, RFC 7505)."""

from __future__ import annotations

from collections.abc import Callable

TakesMail = Callable[[str], bool | None]
_PATIENCE = 5.0  # seconds, for all name servers together


def takes_mail(domain: str) -> bool | None:
    """True: it names a mail server, or has an address; False: it does not exist, or says it takes none.

    None: its name servers do not answer, which says nothing about its mail.
    """
    import dns.exception
    import dns.resolver

    try:
        answer = dns.resolver.resolve(domain, "MX", lifetime=_PATIENCE)
        return any(record.exchange.to_text() != "." for record in answer)
    except dns.resolver.NXDOMAIN:
        return False
    except dns.resolver.NoAnswer:
        return _has_address(domain)
    except (dns.exception.DNSException, UnicodeError, OSError):
        return None


def _has_address(domain: str) -> bool | None:
    import dns.exception
    import dns.resolver

    for kind in ("A", "AAAA"):
        try:
            dns.resolver.resolve(domain, kind, lifetime=_PATIENCE)
            return True
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            continue
        except (dns.exception.DNSException, UnicodeError, OSError):
            return None
    return False
