"""DOOR: the mail side of the composition root: letters, senders, servers and the signer from the configuration."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from digest.config import Config, SmtpServer, split_mailbox
from digest.domain import notices
from digest.domain.deliveries import Mail
from digest.domain.editions import EditionState, Rendering
from digest.domain.links import Links
from digest.domain.newsletters import Newsletter
from digest.domain.pace import Caps
from digest.mail import smtp
from digest.mail.clean import clean_header
from digest.mail.languages import LANGUAGES
from digest.mail.letters import Letters, Publication, Senders
from digest.mail.render import Invitation, Rendered, Renderer
from digest.mail.targets import ArticleLinks, Pictures, Targets
from digest.mail.theme import Theme
from digest.mail.wire import Sign
from digest.store import Store, editions, workers


def renderer_of(config: Config) -> Renderer:
    """With the publisher's own templates first, and the publisher's look."""
    folders = [config.folder / config.theme.templates] if config.theme.templates else []
    look = {name: value for name, value in dict(config.theme).items() if name != "templates"}
    return Renderer(folders, Theme(**look))


def prove_templates(config: Config) -> None:
    """Make every mail once of sample words, if the publisher has templates. Raises RenderError."""
    if config.theme.templates:
        from digest.mail.proof import prove

        prove(renderer_of(config), LANGUAGES)


def letters(
    config: Config, store: Store, links: Links, renderer: Renderer, newsletters: dict[str, Newsletter]
) -> Letters:
    """What makes the message of any delivery."""

    def frozen(edition_id: int) -> list[Rendering]:
        with store.read() as tx:
            return editions.frozen(tx, edition_id)

    def notice(notice_id: int) -> Rendered:
        with store.read() as tx:
            found = workers.notice(tx, notice_id)
            is_draft = found.edition_id is not None and found.subject.endswith(notices.DRAFT_READY)
            picks = editions.picked(tx, found.edition_id) if is_draft and found.edition_id else []
        if not picks:
            return renderer.alert(found.subject, found.text)
        preview = links.preview(found.edition_id or 0)
        return renderer.draft_ready(found.subject, found.text, config.site.name, picks, preview)

    def letter(mail: Mail, newsletter: str, language: str, already: bool, at: datetime) -> Rendered:
        said = invitation(config, newsletter, renderer, language)
        if mail is Mail.WELCOME:
            known = newsletters[newsletter]
            first = known.schedule.next(at).astimezone(known.zone)
            return renderer.welcome(said, language, first, _latest(store, links, newsletter))
        if mail is Mail.GOODBYE:
            return renderer.goodbye(said, language, links.url(""))
        if mail is Mail.CONFIRMATION:
            return renderer.confirmation(said, language, already=already)
        others = {Mail.REMINDER: renderer.reminder, Mail.OWN_DATA: renderer.own_data, Mail.ERASURE: renderer.erasure}
        return others[mail](said, language)

    publications = {each.name: Publication(each.name, each.title, each.language) for each in newsletters.values()}
    return Letters(links, _senders(config), publications, frozen, letter, notice, _signer(config))


def _latest(store: Store, links: Links, newsletter: str) -> str:
    """The archive's address of the newest edition readers have; empty when there is none yet."""
    with store.read() as tx:
        found = editions.listed(tx, newsletter, [EditionState.SENT, EditionState.SENDING], limit=1)
    return links.url(f"archive/{found[0].id}") if found else ""


def invitation(config: Config, newsletter: str, renderer: Renderer, language: str) -> Invitation:
    """What letters and pages say of a newsletter; the consent line is kept as proof, so it is made here alone.

    Words that are ours by default are said in the reader's language; those of config.toml stay as they are.
    """
    section = config.newsletters[newsletter]
    said = renderer.language(language).catalogue.gettext
    consent = said(config.subscribing.consent).format(title=section.title, site=config.site.name)
    return Invitation(
        newsletter_title=section.title,
        site_name=config.site.name,
        site_url=config.site.url,
        postal_address=config.site.postal_address,
        promise=said(section.promise),
        consent=" ".join(filter(None, (consent, _privacy(config, said)))),
        valid_for=config.subscribing.confirm_within,
        reminds=bool(config.subscribing.remind_after),
    )


def _privacy(config: Config, said: Callable[[str], str]) -> str:
    """The line that names the privacy notice, and its version: part of what a reader agrees to."""
    url, version = config.subscribing.privacy_url, config.subscribing.privacy_version
    if not url:
        return ""
    line = said("Privacy notice: {url} ({version})") if version else said("Privacy notice: {url}")
    return line.format(url=url, version=version)


def targets(config: Config, links: Links, newsletters: dict[str, Newsletter]) -> Targets:
    """Where the links of mails lead, and where their pictures come from."""
    mail, zones = config.mail, {name: each.zone for name, each in newsletters.items()}
    return Targets(
        ArticleLinks(links, mail.utm.value(), config.site_hosts, zones, mail.count_clicks),
        Pictures(links, mail.resize_images),
    )


def _senders(config: Config) -> Senders:
    mail = config.mail

    def named(mailbox: str) -> tuple[str, str]:
        name, address = split_mailbox(mailbox)
        return clean_header(name or config.site.name), address

    return Senders(
        digest=named(mail.from_),
        confirmation=named(mail.confirmation_from or mail.from_),
        reply_to=split_mailbox(mail.reply_to)[1] if mail.reply_to else "",
        bounce_address=split_mailbox(mail.bounce_address)[1] if mail.bounce_address else "",
        unsubscribe_address=split_mailbox(mail.unsubscribe_address)[1] if mail.unsubscribe_address else "",
    )


def server(config: Config, name: str, settings: SmtpServer) -> smtp.Server:
    """A mail server by its section."""
    return smtp.Server(
        name=name,
        host=settings.host,
        port=settings.effective_port,
        security=settings.effective_security,
        username=settings.username,
        password=settings.password.get_secret_value(),
        ca_file=str(config.folder / settings.ca_file) if settings.ca_file else "",
        local_hostname=settings.local_hostname,
        connections=settings.connections,
        weight=settings.weight,
        per_second=settings.per_second,
        caps=Caps(settings.per_hour, settings.per_day, settings.warm_up),
        pipelining=settings.pipelining == "auto",
        messages_per_connection=settings.messages_per_connection,
        connect_timeout=settings.connect_timeout,
        greeting_timeout=settings.greeting_timeout,
        command_timeout=settings.command_timeout,
        data_timeout=settings.data_timeout,
        block_timeout=settings.block_timeout,
        end_timeout=settings.end_timeout,
    )


def _signer(config: Config) -> Sign | None:
    """Signs our mail if there is a key. Raises ConfigurationError."""
    settings = config.dkim
    if not (settings.key_file or settings.ed25519_key_file):
        return None
    # Here, not at the top: those who do not sign need not load the cryptography.
    from digest.mail import dkim

    rsa = (settings.selector, config.folder / settings.key_file) if settings.key_file else None
    ed25519 = (settings.ed25519_selector, config.folder / settings.ed25519_key_file)
    domain = settings.domain or split_mailbox(config.mail.from_)[1].rpartition("@")[2]
    return dkim.load(domain, rsa, ed25519 if settings.ed25519_key_file else None)
