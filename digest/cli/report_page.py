"""The readers' numbers as one HTML page: no script, nothing loaded, a chart drawn by hand in SVG."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from digest.domain.newsletters import Newsletter
from digest.domain.statistics import Day, ReaderStatistics
from digest.mail.templating import templates_folder

WIDTH, HEIGHT = 720, 200  # of the chart, in its own units
_BASE = 160  # where the readers' curve stands; the bars of coming and leaving hang around the line below


def page(newsletter: Newsletter, found: ReaderStatistics) -> str:
    """The whole page."""
    environment = Environment(
        loader=FileSystemLoader(templates_folder() / "report"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    chart = Chart(found.days)
    local = found.at.astimezone(newsletter.zone)
    return environment.get_template("subscribers.html").render(
        newsletter=newsletter, found=found, chart=chart, at=local, zone=newsletter.zone
    )


class Chart:
    """Where the points of the chart lie."""

    def __init__(self, days: Sequence[Day]) -> None:
        self.days = days
        numbers = [day.readers for day in days]
        self.high = max(numbers, default=0)
        self.low = min(numbers, default=0)
        self._most = max([1, *(max(day.confirmed, day.left) for day in days)])
        self.step = WIDTH / max(len(days), 1)

    @property
    def curve(self) -> str:
        """The number of readers, day by day, as points of a polyline."""
        span = (self.high - self.low) or 1
        return " ".join(
            f"{self.step * (place + 0.5):.1f},{_BASE - 20 - 120 * (day.readers - self.low) / span:.1f}"
            for place, day in enumerate(self.days)
        )

    @property
    def area(self) -> str:
        """The same, closed along the bottom."""
        return f"{self.step / 2:.1f},{_BASE} {self.curve} {WIDTH - self.step / 2:.1f},{_BASE}"

    @property
    def bars(self) -> list[tuple[float, float, float, float]]:
        """(x, width, height of who came, height of who left) of each day on which somebody did."""
        width = max(self.step * 0.7, 0.8)
        return [
            (self.step * (place + 0.5) - width / 2, width, 18 * day.confirmed / self._most, 18 * day.left / self._most)
            for place, day in enumerate(self.days)
            if day.confirmed or day.left
        ]
