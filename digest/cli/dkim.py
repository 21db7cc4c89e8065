"""`digest dkim`: a key of one's own, the DNS records that go with it, and whether they fit."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from digest.cli.opening import config_path, load
from digest.cli.printing import fail, print_json, say
from digest.config import split_mailbox
from digest.errors import UsageError
from digest.mail import dkim_keys

app = typer.Typer(help="Sign mail yourself: make a key, compare it with the DNS.", no_args_is_help=True)
_Json = typer.Option(False, "--json", help="Print JSON.")


@app.command()
def new(
    selector: str = typer.Option(..., help="A name for the key that was never used before, such as digest2026."),
    ed25519: bool = typer.Option(False, "--ed25519", help="An Ed25519 key, for a second signature beside RSA's."),
    bits: int = typer.Option(2048, help="Of an RSA key: 2048, 3072 or 4096."),
    out: Path = typer.Option(None, help="The folder for the key; where config.toml lies if not given."),
    as_json: bool = _Json,
) -> None:
    """Make a key. Prints the DNS record and the lines of config.toml that go with it."""
    config = load()
    sender = split_mailbox(config.mail.from_)[1].rpartition("@")[2]
    domain = (config.dkim.domain or sender).encode("idna").decode("ascii")
    name = f"{dkim_keys.checked_selector(selector)}._domainkey.{domain}"  # a name in the DNS is in A-labels
    key = dkim_keys.new_ed25519() if ed25519 else dkim_keys.new_rsa(bits)
    path = (out or config.folder) / f"{selector}.pem"
    dkim_keys.write(key, path)
    text = dkim_keys.record(key)
    lines = _settings(selector, _as_written(path, config.folder), second=ed25519)
    if as_json:
        records = {"name": name, "record": text, "strings": dkim_keys.strings(text)}
        print_json({"key_file": str(path), "selector": selector, "domain": domain, **records, "config": lines})
        return
    say(f"Wrote {path}. Keep it secret: whoever has it can sign mail as {domain}.")
    say("\n1. Publish this record in the DNS:\n", "bold")
    say(zone_lines(name, text))
    say(f"\n   In a form instead of a zone file: name {name}, type TXT, value:\n")
    say(text)
    say(f"\n2. In the [dkim] section of {config_path().name}, set:\n", "bold")
    say("\n".join(lines))
    say("\n3. See that the DNS has it, then start Digest again:\n", "bold")
    say(f"dig +short TXT {name}")
    say(f"digest dkim check --selector {selector} --record 'what dig printed'")
    say("\nMailbox providers want two more records, if you do not have them yet:\n", "bold")
    bounces = split_mailbox(config.mail.bounce_address or config.mail.from_)[1].rpartition("@")[2]
    say(reminder(bounces, sender))


@app.command()
def check(
    record: str = typer.Option(..., help="The TXT record as `dig +short TXT NAME` prints it; - reads standard input."),
    selector: str | None = typer.Option(None, help="Which key: a selector in config.toml; needed when there are two."),
    key: Path | None = typer.Option(None, help="A key file, instead of one in config.toml."),
    as_json: bool = _Json,
) -> None:
    """Compare a key with what the DNS says of it. No server is asked."""
    path = key or _key_file(selector)
    private = dkim_keys.read(path)
    text = typer.get_text_stream("stdin").read() if record == "-" else record
    found = list(dkim_keys.mistakes(private, text))
    if as_json:
        print_json({"key_file": str(path), "fits": not found, "mistakes": found, "expected": dkim_keys.record(private)})
    elif found:
        fail(f"The record does not fit {path}:")
        for each in found:
            fail(f"  - {each}")
        say("It should say:")
        say(dkim_keys.record(private))
    else:
        say(f"The record fits {path}.")
    raise typer.Exit(1 if found else 0)


def zone_lines(name: str, text: str) -> str:
    """The record as it stands in a zone file: strings of 255 octets at most, in brackets."""
    quoted = "\n".join(f'    "{each}"' for each in dkim_keys.strings(text))
    return f"{name}. IN TXT (\n{quoted}\n)"


def reminder(bounce_domain: str, sender_domain: str) -> str:
    """SPF for where bounces return to, and DMARC for where mail comes from; RFC 9989 has no pct any more."""
    return (
        f'{bounce_domain}. IN TXT "v=spf1 include:spf.your-mail-server.example ~all"\n'
        f'_dmarc.{sender_domain}. IN TXT "v=DMARC1; p=none; rua=mailto:dmarc@{sender_domain}"\n\n'
        "In the first, name the servers that send your mail (mx, ip4:..., or what your provider tells you); a domain"
        " has only one. In the second, go on to p=quarantine when the reports look right."
    )


def _settings(selector: str, path: str, *, second: bool) -> list[str]:
    before = "ed25519_" if second else ""
    return [f'{before}selector = "{selector}"', f'{before}key_file = "{path}"']


def _as_written(path: Path, folder: Path) -> str:
    """The path as config.toml takes it: relative to its own folder where that is shorter."""
    relative = os.path.relpath(path.resolve(), folder.resolve())
    return str(path.resolve()) if relative.startswith("..") else Path(relative).as_posix()


def _key_file(selector: str | None) -> Path:
    config = load()
    settings = config.dkim
    known = {settings.selector: settings.key_file, settings.ed25519_selector: settings.ed25519_key_file}
    known = {name: file for name, file in known.items() if file}
    if not known and selector is None:
        raise UsageError("config.toml has no [dkim] key; make one with `digest dkim new`, or give --key FILE")
    if selector is None and len(known) > 1:
        raise UsageError(f"which key? Give --selector with one of: {', '.join(known)}")
    name = selector or next(iter(known))
    path = config.folder / known.get(name, f"{name}.pem")
    if name not in known and not path.is_file():
        listed = f"it has: {', '.join(known)}" if known else "it has none; make one with `digest dkim new`"
        raise UsageError(f"[dkim] in {config_path().name} has no selector {name!r}, {listed}")
    return path
