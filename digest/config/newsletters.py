"""The newsletters: when each goes out, what it is made of, and when its counts are believed."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, field_validator, model_validator

from digest.config.types import Duration, Line, Section, between
from digest.config.types import zone as _zone
from digest.domain.findings import NAMES, unknown
from digest.domain.newsletters import (
    Approval,
    Block,
    BlockKind,
    FairStart,
    Fallback,
    Published,
    Selection,
    TooFew,
)
from digest.domain.periods import Schedule

# A job that begins at the hour finds that it has passed.
_LEAVES_A_MOMENT = between("every edition would be late; write 5m at least", least=timedelta(minutes=5))


class BlockSection(Section):
    """A part of the mail under a heading of its own."""

    title: Line
    kind: BlockKind = BlockKind.TOP
    count: int = Field(3, ge=1, le=50)
    section: str = ""

    @model_validator(mode="after")
    def _names_its_section(self) -> BlockSection:
        if (self.kind is BlockKind.SECTION) != bool(self.section):
            raise ValueError('kind = "section" and section = "..." go together')
        return self


Share = Annotated[float, Field(ge=0, le=1)]


class SelectionSection(Section):
    """How many articles, and which. The keys are those of digest.domain.newsletters.Selection."""

    count: int = Field(10, ge=1, le=50)
    min_articles: int = Field(3, ge=1)
    min_views: int = Field(1, ge=0)
    published: Published = Published.PERIOD
    too_few: TooFew = TooFew.SKIP
    fair_start: FairStart = FairStart.NONE
    fair_floor: Duration = timedelta(hours=24)
    half_life: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(days=3)
    max_per_section: int = Field(0, ge=0)
    max_per_author: int = Field(0, ge=0)
    ban_tags: tuple[str, ...] = ()
    ban_sections: tuple[str, ...] = ()
    ban_patterns: tuple[str, ...] = ()
    cool_down: Duration = timedelta(0)
    similar: Share = 0.0
    sponsored_tags: tuple[str, ...] = ()
    sponsored_count: int = Field(0, ge=0, le=10)
    views_from: tuple[str, ...] = ()
    blocks: tuple[BlockSection, ...] = ()

    def selection(self) -> Selection:
        """As a value for the rules."""
        blocks = tuple(Block(each.title, each.kind, each.count, each.section) for each in self.blocks)
        return Selection(**{**dict(self), "blocks": blocks})


class PlausibilitySection(Section):
    """When the counts are believed. The keys are those of digest.domain.newsletters.Plausibility."""

    newest_within: Duration = timedelta(days=3)
    least: Share = 0.2
    most: float = Field(5.0, ge=1)
    one_article: Share = 0.95
    fallback: Fallback = Fallback.NEWEST


class NewsletterSection(Section):
    """One newsletter."""

    title: Line
    promise: str = "The week’s most read stories, every Saturday morning. We don’t spam."
    language: Literal["", "en", "pl", "uk"] = ""  # empty: the site's
    timezone: Annotated[str, BeforeValidator(lambda v: _zone(v) if v else v)] = ""  # empty: the site's
    schedule: str = "sat 08:00"
    cutoff: str = ""  # empty: the schedule
    catch_up: Annotated[Duration, _LEAVES_A_MOMENT] = timedelta(hours=12)
    approval: Approval = Approval.NONE
    allow: tuple[str, ...] = ()
    layout: Literal["images", "text"] = "images"
    show_views: bool = True
    welcome: bool = False
    goodbye: bool = False
    editor: str = ""
    selection: SelectionSection = SelectionSection()
    plausibility: PlausibilitySection = PlausibilitySection()

    @field_validator("allow")
    @classmethod
    def _findings(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if strange := unknown(value):
            raise ValueError(f"no check finds {strange[0]!r}; they find: {', '.join(NAMES)}")
        return value

    @field_validator("schedule", "cutoff")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value:
            Schedule.parse(value, ZoneInfo("UTC"))
        return value
