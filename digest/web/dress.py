"""The publisher's look on the public pages: what [theme] changes, as a style sheet that comes after ours."""

from __future__ import annotations

from digest.config.mail import ThemeSection
from digest.mail.theme import Theme

# The variables of pages.css by the settings that stand for them; those with a twin have it for dark mode.
_COLOURS = {
    "accent": ("accent", "button"),
    "text": ("ink",),
    "soft": ("soft",),
    "paper": ("sheet",),
    "page": ("paper",),
    "line": ("line",),
}
_PLAIN = ThemeSection()


def dress(theme: ThemeSection) -> str:
    """CSS; empty when nothing was changed. Values are safe in it: config.py holds each to its form."""
    light = [
        f"--{variable}: {getattr(theme, name)};"
        for name, variables in _COLOURS.items()
        if getattr(theme, name) != getattr(_PLAIN, name)
        for variable in variables
    ]
    dark = [
        f"--{variables[0]}: {getattr(theme, f'{name}_dark')};"
        for name, variables in _COLOURS.items()
        if getattr(theme, f"{name}_dark") != getattr(_PLAIN, f"{name}_dark")
    ]
    if theme.accent != _PLAIN.accent:
        ink = Theme(accent=theme.accent, text=theme.text).on_accent
        light.append(f"--button-ink: {ink};")
        dark.append(f"--button: {theme.accent};")
    light += [f"--{name}: {getattr(theme, name)};" for name in ("serif", "sans") if _is_new(theme, name)]
    if _is_new(theme, "radius"):
        light.append(f"--radius: {theme.radius}px;")
    rules = f":root {{ {' '.join(light)} }}\n" if light else ""
    return rules + (f"@media (prefers-color-scheme: dark) {{ :root {{ {' '.join(dark)} }} }}\n" if dark else "")


def _is_new(theme: ThemeSection, name: str) -> bool:
    return bool(getattr(theme, name) != getattr(_PLAIN, name))
