"""The mail's own settings: who it is from, where its links and pictures lead, how it is signed, how it looks."""

from __future__ import annotations

from pydantic import ConfigDict, Field, field_validator, model_validator

from digest.config.types import Colour, Fonts, Mailbox, Picture, Pixels, Section
from digest.domain.campaign import PLACEHOLDERS, Campaign, unknown_placeholder


class Utm(Section):
    """The campaign in links to the site. The keys are those of digest.domain.campaign.Campaign, and `hosts`."""

    source: str = ""
    medium: str = ""
    campaign: str = ""
    hosts: tuple[str, ...] = ()  # beside that of [site] url

    @field_validator("source", "medium", "campaign")
    @classmethod
    def _known(cls, value: str) -> str:
        if stray := unknown_placeholder(value):
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"nothing is known to stand for {stray}; write {known}, or no braces")
        return value

    def value(self) -> Campaign:
        """As a value for the rules."""
        return Campaign(self.source, self.medium, self.campaign)


class Mail(Section):
    """Who the mail is from, where answers and bounces go, where its links and pictures lead."""

    model_config = Section.model_config | ConfigDict(populate_by_name=True)

    from_: Mailbox = Field(alias="from")
    confirmation_from: Mailbox | None = None
    reply_to: Mailbox | None = None
    bounce_address: Mailbox | None = None
    unsubscribe_address: Mailbox | None = None
    count_clicks: bool = False
    resize_images: bool = False
    image_folder: str = ""  # empty: cache/img beside the database
    image_space: int = Field(500_000_000, ge=1_000_000)  # bytes
    utm: Utm = Utm()


class Dkim(Section):
    """Signing by ourselves, for those whose mail server does not."""

    domain: str = ""  # empty: that of [mail] from
    selector: str = ""
    key_file: str = ""
    ed25519_selector: str = ""
    ed25519_key_file: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Dkim:
        for selector, key_file in ((self.selector, self.key_file), (self.ed25519_selector, self.ed25519_key_file)):
            if bool(selector) != bool(key_file):
                raise ValueError("a selector and its key file go together: give both or neither")
        return self


class ThemeSection(Section):
    """How mails look. The keys are those of digest.mail.theme.Theme, and `templates`."""

    accent: Colour = "#a3172a"
    accent_dark: Colour = "#ff8a93"
    text: Colour = "#1d1d1f"
    text_dark: Colour = "#f2f0eb"
    soft: Colour = "#5f5b53"
    soft_dark: Colour = "#aaa69d"
    paper: Colour = "#ffffff"
    paper_dark: Colour = "#1b1c1f"
    page: Colour = "#f3f1ec"
    page_dark: Colour = "#111214"
    line: Colour = "#dedad2"
    line_dark: Colour = "#37383c"
    serif: Fonts = "Georgia, 'Times New Roman', serif"
    sans: Fonts = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    radius: Pixels = Field(6, ge=0, le=40)
    logo: Picture = ""
    logo_dark: Picture = ""
    logo_width: Pixels = Field(240, ge=16, le=536)
    templates: str = ""
