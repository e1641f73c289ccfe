"""The two palettes."""

from dataclasses import asdict

import pytest

from flowglass.viewer.theme import DARK, LIGHT, Palette, stylesheet


def linear(value: float) -> float:
    """A channel of sRGB as light."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, as WCAG defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    )
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    """The WCAG contrast ratio, 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read(palette: Palette) -> None:
    """Text has at least 4.5:1 on what lies behind it, lines and marks 3:1."""
    for name in ("text", "muted", "accent", "good", "bad"):
        assert contrast(getattr(palette, name), palette.surface) >= 4.5, name
        assert contrast(getattr(palette, name), palette.raised) >= 4.5, name
    assert contrast(palette.on_target, palette.target) >= 4.5
    for name in ("attn", "ffn", "resid"):
        assert contrast(getattr(palette, name), palette.surface) >= 3, name


def test_both_themes_have_every_colour() -> None:
    """Each palette's names become custom properties in its own rule."""
    light, dark = stylesheet().split("\n")
    for name in asdict(LIGHT):
        prop = f"--fg-{name.replace('_', '-')}:"
        assert prop in light
        assert prop in dark
