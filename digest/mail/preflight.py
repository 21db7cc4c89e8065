"""What a mail may be doing wrong, by rules that need no network: pure functions from a finished message to findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address

from digest.domain.findings import Finding, Level, ordered
from digest.mail.checks import MAX_HTML, check_message
from digest.mail.contrast import SCHEMES, Spot, readable, weak_spots
from digest.mail.specimen import Picture, Specimen, host_of, shown

SUBJECT_SHOWN, SUBJECT_MOST = 60, 78  # characters: a phone shows about the first; RFC 5322 section 2.1.1 has the second
PREHEADER_LEAST, PREHEADER_MOST = 30, 110  # characters: shorter, mailboxes fill up with what comes next in the mail
NEARLY_MAX_HTML = 80_000  # bytes
BULK = 5_000  # readers: whom Gmail, Yahoo and Outlook call a bulk sender
_UNREADABLE = 2.0  # a contrast nobody can read at any size
_FEW_WORDS = 150  # characters
_NAMED = 3  # pictures that a finding names
_LITTLE_TEXT = 0.02  # of the html's bytes
SHORTENERS = frozenset(
    (
        *("bit.ly", "buff.ly", "cutt.ly", "goo.gl", "is.gd", "ow.ly", "rb.gy", "rebrand.ly", "shorturl.at"),
        *("t.co", "t.ly", "tiny.cc", "tinyurl.com"),
    )
)
_HOST_LIKE = re.compile(r"(?:https?://)?((?:[\w-]+\.)+[^\W\d_]{2,})(?:[:/?#]\S*)?")
_SECOND_LEVEL = frozenset(("ac", "co", "com", "edu", "gov", "net", "org"))


def examine(mail: Specimen) -> list[Finding]:
    """Everything the rules find, the worst first."""
    return ordered(finding for rule in RULES for finding in rule(mail))


# --- the head ------------------------------------------------------------------------------------


def _message(mail: Specimen) -> Iterator[Finding]:
    for each in check_message(mail.content, mail.subject):
        if "Gmail cuts" not in each:  # html-size says it
            yield Finding("message", Level.ERROR, each, "This is a mistake of Digest's or of a template: report it")


def _subject(mail: Specimen) -> Iterator[Finding]:
    subject = mail.subject.strip()
    if not subject:
        yield Finding("no-subject", Level.ERROR, "the subject is empty", "Give the lead story a title")
    elif (size := len(subject)) > SUBJECT_SHOWN:
        level = Level.WARNING if size > SUBJECT_MOST else Level.HINT
        fix = (
            f"Write a shorter one in digest/subject.txt of your templates: phones show about {SUBJECT_SHOWN} characters"
        )
        yield Finding("subject-length", level, f"the subject has {size} characters", fix)
    letters = [each for each in subject if each.isupper() or each.islower()]
    if len(letters) >= 8 and sum(map(str.isupper, letters)) / len(letters) > 0.8:
        fix = "Write the lead story's title in small letters"
        yield Finding("shouting-subject", Level.WARNING, "the subject is all capitals, as spam is", fix)


def _exclamations(mail: Specimen) -> Iterator[Finding]:
    if mail.subject.count("!") > 1:
        fix = "Take them out of the lead story's title"
        text = f"the subject has {mail.subject.count('!')} exclamation marks, as spam has"
        yield Finding("exclamation-marks", Level.WARNING, text, fix)
    elif (many := len(re.findall(r"![!1]+", mail.words))) > 2:
        fix = "Take some out of the titles and excerpts"
        text = f"{many} times exclamation marks stand side by side, as in spam"
        yield Finding("exclamation-marks", Level.HINT, text, fix)


def _preheader(mail: Specimen) -> Iterator[Finding]:
    size = len(mail.preheader)
    if not size:
        fix = "Two articles or more make one"
        yield Finding("no-preheader", Level.HINT, "no line follows the subject in a list of mails", fix)
    elif not PREHEADER_LEAST <= size <= PREHEADER_MOST:
        text = f"the line after the subject has {size} characters"
        fix = f"Between {PREHEADER_LEAST} and {PREHEADER_MOST} look best: mend the second and third title"
        yield Finding("preheader-length", Level.HINT, text, fix)


# --- the body ------------------------------------------------------------------------------------


def _size(mail: Specimen) -> Iterator[Finding]:
    size = len(mail.html.encode())
    if size > NEARLY_MAX_HTML:
        level = Level.ERROR if size > MAX_HTML else Level.WARNING
        text = f"the html has {size:,} bytes; Gmail hides what comes after about 102,000"
        yield Finding("html-size", level, text, "Take fewer articles: [newsletters.X.selection] count")


def _images(mail: Specimen) -> Iterator[Finding]:
    lost = "with images off, and for those who do not see, nothing is there"
    kinds = (
        (True, "Describe them in the site's editor, or in the column `alt` of the file, query or push they come from"),
        (False, 'Write alt="..." into your template, alt="" for an ornament that is no link'),
    )
    for of_a_story, fix in kinds:
        own = [each for each in mail.pictures if each.is_of_a_story is of_a_story]
        if bare := [each for each in own if each.alt is None]:
            yield Finding("image-alt", Level.ERROR, f"{_some(bare, 'no alt text')}: {lost}", fix)
        if bare := [each for each in own if each.is_linked and each.alt is not None and not each.alt.strip()]:
            yield Finding("image-alt", Level.WARNING, f"{_some(bare, 'no alt text')}: {lost}", fix)
    if unsafe := [each for each in mail.pictures if not each.url.startswith("https://")]:
        text = f"{_some(unsafe, 'no https address')}; some mailboxes do not show that"
        yield Finding("image-https", Level.WARNING, text, "Serve the site's pictures, and [theme] logo, over https")


def _some(pictures: Sequence[Picture], lack: str) -> str:
    """How many pictures lack something, and which: the first few."""
    urls = list(dict.fromkeys(each.url for each in pictures))
    named = ", ".join(shown(url) for url in urls[:_NAMED]) + (", …" if len(urls) > _NAMED else "")
    return f"the picture {named} has {lack}" if len(urls) == 1 else f"{len(urls)} pictures have {lack} ({named})"


def _words(mail: Specimen) -> Iterator[Finding]:
    size = len(mail.html.encode())
    if mail.pictures and len(mail.words) < _FEW_WORDS:
        text = f"there are pictures and only {len(mail.words)} characters of text; filters take that for spam"
        yield Finding("only-images", Level.WARNING, text, "Let titles and excerpts stand in the mail as text")
    elif (share := len(mail.words.encode()) / max(size, 1)) < _LITTLE_TEXT:
        text = f"only {share:.1%} of the html is text"
        yield Finding("text-share", Level.HINT, text, "Simplify your templates, or let excerpts be longer")


def _links(mail: Specimen) -> Iterator[Finding]:
    for address, words in mail.links:
        host = host_of(address)
        if host in SHORTENERS:
            text = f"{shown(address)} hides where it leads, and many filters refuse that"
            yield Finding("shortener", Level.WARNING, text, "Link to the page itself")
        if (match := _HOST_LIKE.fullmatch(words)) and not are_aligned(match[1].lower(), host):
            text = f"a link reads {words[:60]!r} and leads to {host}: so do forgeries"
            yield Finding("link-text", Level.WARNING, text, "Let the words of a link say what it leads to")


def _contrast(mail: Specimen) -> Iterator[Finding]:
    for scheme in SCHEMES:
        for spot in weak_spots(mail.html, scheme):
            level = Level.ERROR if spot.ratio < _UNREADABLE else Level.WARNING
            text = (
                f"“{spot.text}” in {spot.colour} on {spot.ground} has a contrast of {spot.ratio:.2f}:1"
                f" in {scheme} mode; {spot.needed:g}:1 is asked for"
            )
            yield Finding(f"contrast-{scheme}", level, text, _readable_fix(spot, mail.around.theme))


def _readable_fix(spot: Spot, theme: Mapping[str, str]) -> str:
    """Which setting to change, and to what; of a colour that no setting has, only to what."""
    better = readable(spot)
    suffix = "_dark" if spot.scheme == "dark" else ""
    names = [f"{name}{suffix}" for name in ("accent", "soft", "text")]
    own = [name for name in names if theme.get(name, "").lower() == spot.colour]
    if own:
        return f'Set [theme] {own[0]} = "{better}", which can be read there'
    grounds = [f"{name}{suffix}" for name in ("paper", "page")]
    ground = next((name for name in grounds if theme.get(name, "").lower() == spot.ground), "")
    where = f"your template; {better} can be read on {f'[theme] {ground}' if ground else spot.ground}"
    return f"Change the colour {spot.colour} in {where}"


# --- who sends -----------------------------------------------------------------------------------


def _footer(mail: Specimen) -> Iterator[Finding]:
    if not mail.around.postal_address.strip():
        level = Level.ERROR if mail.around.audience >= BULK else Level.WARNING
        text = "there is no postal address in the mail; the law of many countries wants one"
        yield Finding("missing-address", level, text, "Set [site] postal_address")
    leave = re.search(r"<([^<>]+)>", str(mail.parsed.get("List-Unsubscribe", "")))
    url = leave[1] if leave else ""
    where = [kind for kind, found in (("html", dict(mail.links)), ("text", mail.text)) if url not in found]
    if not url or where:
        text = f"the {' and the '.join(where) or 'head'} of the mail has no link to unsubscribe"
        fix = "Put {{ unsubscribe_link }} back into digest/body.html and digest/body.txt of your templates"
        yield Finding("missing-unsubscribe", Level.ERROR, text, fix)
    if url.startswith("http://") and not _is_local(host_of(url)):
        text = "the link to unsubscribe is not https, so the mailbox's own button for it does not work (RFC 8058)"
        level = Level.ERROR if mail.around.audience >= BULK else Level.WARNING
        yield Finding("one-click", level, text, "Serve our pages over https and say so in [web] base_url")


def _alignment(mail: Specimen) -> Iterator[Finding]:
    around, domain = mail.around, mail.from_domain
    others = (
        ("from-site", host_of(around.site_url), "the site is at {}", "Send from an address of the site's domain"),
        ("from-dkim", around.dkim_domain, "the signature is of {}", "Set [dkim] domain to the one mail comes from"),
        ("from-bounce", around.bounce_domain, "bounces go to {}", "Take a bounce address of the same domain"),
    )
    for name, other, words, fix in others:
        if other and not _is_local(other) and not are_aligned(domain, other):
            text = f"the mail comes from {domain}, and {words.format(other)}: DMARC wants them to belong together"
            yield Finding(name, Level.WARNING, text, fix)
    if not around.dkim_domain and not around.is_relay_local:
        text = "Digest does not sign the mail; if your mail server does not either, Gmail and Outlook refuse it"
        yield Finding("no-dkim", Level.HINT, text, "If nobody signs: digest dkim new --selector digest")


RULES: Sequence[Callable[[Specimen], Iterator[Finding]]] = (
    *(_message, _subject, _exclamations, _preheader, _size, _images, _words, _links, _contrast),
    *(_footer, _alignment),
)


def are_aligned(one: str, other: str) -> bool:
    """Whether two domains belong to one owner, as DMARC's relaxed alignment sees it.

    The tree walk of RFC 9989 needs DNS; here two names belong together when they share all but their first labels.
    """
    ours, theirs = one.lower().rstrip(".").split("."), other.lower().rstrip(".").split(".")
    shared = 0
    while shared < min(len(ours), len(theirs)) and ours[-1 - shared] == theirs[-1 - shared]:
        shared += 1
    is_two_level = len(ours) > 1 and len(ours[-1]) == 2 and ours[-2] in _SECOND_LEVEL  # co.uk, com.pl
    return ours == theirs or shared >= (3 if is_two_level else 2)


def _is_local(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return "." not in host
