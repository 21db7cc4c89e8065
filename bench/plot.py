"""The figures as one calm picture: a panel a group, a bar a figure, a tick where the target is."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

# The groups worth a picture, in this order; the rest is in the tables.
PANELS = (
    "Ours / smtp-source",
    "CPU seconds a thousand messages",
    "Messages a second a connection, of 1 / round trip",
    "Peak memory",
    "Queueing / the bare statement",
    "Last tenth of the claims / first",
    "Two workers / one",
    "Beacon / an empty endpoint",
)
WIDTH, LABEL, BAR_END, ROW, BAR = 860, 330, 700, 24, 12
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 14px }
  .number { font-variant-numeric: tabular-nums }
  .quiet { fill: #6e7781; font-size: 12px }
  .bar { fill: #4a7fb5 } .other { fill: #b6bec7 }
  .range { stroke: #24292f; stroke-width: 1; opacity: .55 }
  .target { stroke: #b4541a; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #d7dde4 } .quiet { fill: #8b949e }
    .bar { fill: #5b93cc } .other { fill: #4d5763 }
    .range { stroke: #d7dde4 } .target { stroke: #e08a4f }
  }
"""


def plot(benches: dict[str, Any]) -> str:
    """The whole SVG; it has no background, so it lies on a light page as on a dark one."""
    figures = [figure for bench in benches.values() for figure in bench["figures"]]
    parts: list[str] = []
    top = 16
    for group in PANELS:
        if rows := [each for each in figures if each["group"] == group]:
            parts += _panel(group, rows, top)
            top += 34 + ROW * len(rows) + 18
    parts.append(f'<line class="target" x1="1" y1="{top - 9}" x2="1" y2="{top + 5}"/>')
    parts.append(f'<text class="quiet" x="10" y="{top + 2}">target; the thin line is the range of the rounds</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 14}" role="img">\n'
        f"<title>Measured figures beside their targets</title>\n<style>{_STYLE}</style>\n{body}\n</svg>\n"
    )


def _panel(group: str, figures: list[dict[str, Any]], top: int) -> Iterator[str]:
    unit = figures[0]["unit"]
    words = f"{group}, {unit}" if unit == "MB" else group
    yield f'<text class="title" x="0" y="{top + 10}">{escape(words)}</text>'
    largest = max(max(each["highest"], _target(each) or 0) for each in figures)
    for row, figure in enumerate(figures):
        yield from _bar(figure, top + 34 + row * ROW, (BAR_END - LABEL) / largest if largest else 0)


def _bar(figure: dict[str, Any], y: int, scale: float) -> Iterator[str]:
    end = LABEL + figure["median"] * scale
    kind = "bar" if "target" in figure else "other"
    yield f'<text x="0" y="{y + 4}">{escape(figure["what"])}</text>'
    yield (
        f'<rect class="{kind}" x="{LABEL}" y="{y - BAR / 2:.0f}" width="{max(end - LABEL, 1):.1f}" '
        f'height="{BAR}" rx="2"/>'
    )
    low, high = (LABEL + figure[key] * scale for key in ("lowest", "highest"))
    if high - low > 1:
        yield f'<line class="range" x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}"/>'
    if target := _target(figure):
        x = LABEL + target * scale
        yield f'<line class="target" x1="{x:.1f}" y1="{y - 10}" x2="{x:.1f}" y2="{y + 10}"/>'
    aim = f'<tspan class="quiet" dx="6">{escape(figure["target"])}</tspan>' if "target" in figure else ""
    yield f'<text class="number" x="{BAR_END + 12}" y="{y + 4}">{figure["median"]:.3g}{aim}</text>'


def _target(figure: dict[str, Any]) -> float | None:
    return float(figure["target"].split()[-1]) if "target" in figure else None
