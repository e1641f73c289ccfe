"""Colours, fonts and how a token is shown; every colour of the viewer is born here.

Each colour becomes a CSS custom property `--fg-<name>` on the page's root, in its light
or its dark value, and custom properties pass into every component: to switch the theme
is to switch one class on one element, and the canvas reads the same properties.
"""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Palette:
    """The colours of one theme."""

    surface: str
    """Behind everything."""
    raised: str
    """A table's head, a hovered row, every second layer of the graph."""
    line: str
    """Hairlines between things."""
    text: str
    muted: str
    """Secondary text; at least 4.5:1 on `surface`."""
    faint: str
    """What is there but not in the route."""
    accent: str
    """Links and controls."""
    target: str
    """The chosen target and whatever the pointer is on."""
    on_target: str
    """Text on `target`."""
    good: str
    bad: str
    resid: str
    attn: str
    ffn: str
    node: str
    """The inside of a residual state's dot."""
    plus: str
    """What adds, and what takes away: told apart by colour-blind readers too."""
    minus: str


LIGHT = Palette(
    surface="#ffffff",
    raised="#f5f7fa",
    line="#e1e6ed",
    text="#17202e",
    muted="#5b6777",
    faint="#c3ccd8",
    accent="#2457c5",
    target="#f0a020",
    on_target="#241701",
    good="#137a4b",
    bad="#b3372f",
    resid="#7d8ca1",
    attn="#0c8f78",
    ffn="#a94bbd",
    node="#ffffff",
    plus="#1f6fb2",
    minus="#b4560f",
)
DARK = Palette(
    surface="#10151e",
    raised="#19202c",
    line="#2b3442",
    text="#e4e9f1",
    muted="#98a4b6",
    faint="#445063",
    accent="#8ab4ff",
    target="#f5b544",
    on_target="#241701",
    good="#5fd39a",
    bad="#ff8f85",
    resid="#8796ac",
    attn="#3ccfb4",
    ffn="#d58be6",
    node="#10151e",
    plus="#6db3f2",
    minus="#f0a060",
)

MONOSPACE = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"

NOTE_STYLE = """
  :host { color: var(--fg-muted); font-size: 14px; line-height: 1.6 }
  code { font: 0.95em var(--fg-monospace); color: var(--fg-text);
    background: var(--fg-raised); border-radius: 4px; padding: 2px 6px }
"""
"""A sentence where there is nothing else to show."""

RAMP_STEPS = 256


def ramp(low: str, high: str) -> list[str]:
    """Colours from one to another: by the square root, for most values are small.

    >>> ramp("#000000", "#ffffff")[0], ramp("#000000", "#ffffff")[-1]
    ('#000000', '#ffffff')
    """
    ends = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (low, high)]

    def mixed(share: float) -> str:
        parts = (a + (b - a) * share for a, b in zip(*ends, strict=True))
        return "#" + "".join(f"{round(part):02x}" for part in parts)

    return [mixed((step / (RAMP_STEPS - 1)) ** 0.5) for step in range(RAMP_STEPS)]


VISIBLE = {
    # Control characters and what turns text about by their numbers: they are to do
    # nothing to a page, nor to a terminal that something is pasted into.
    **{chr(code): f"⟨{code:02x}⟩" for code in (*range(0x20), *range(0x7F, 0xA0))},
    **{chr(code): f"⟨{code:04x}⟩" for code in (0x61C, 0x200E, 0x200F)},
    **{chr(code): f"⟨{code:04x}⟩" for code in range(0x202A, 0x202F)},
    **{chr(code): f"⟨{code:04x}⟩" for code in range(0x2066, 0x206A)},
    **{" ": "·", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"},
}

LONGEST = 120
"""Characters of a token; those of vocabularies seldom have more."""


def show_whitespace(token: str) -> str:
    """The token with every white space it holds made visible, a very long one cut.

    >>> show_whitespace(" Mary"), show_whitespace("\\n\\n"), show_whitespace("")
    ('·Mary', '⏎⏎', '∅')
    """
    shown = "".join(VISIBLE.get(character, character) for character in token[:LONGEST])
    rest = len(token) - LONGEST
    return f"{shown}…(+{rest:,})" if rest > 0 else shown or "∅"


def show_text(text: str, longest: int) -> str:
    """The beginning of a text, what is no character of it made visible.

    >>> show_text("a b\\n\\x1b[0m c", 8)
    'a b⏎⟨1b⟩[0m…'
    """
    shown = "".join(c if c == " " else VISIBLE.get(c, c) for c in text[:longest])
    return shown + "…" if len(text) > longest else shown


def stylesheet() -> str:
    """The custom properties of both themes, for the page's root."""
    return "\n".join(
        [
            _rule(".mui-light", LIGHT, scheme="light"),
            _rule(".mui-dark", DARK, scheme="dark"),
        ]
    )


def _rule(selector: str, palette: Palette, *, scheme: str) -> str:
    colours = "".join(
        f"--fg-{name.replace('_', '-')}:{value};"
        for name, value in asdict(palette).items()
    )
    return (
        f"{selector}{{{colours}--fg-monospace:{MONOSPACE};color-scheme:{scheme};"
        f"color:{palette.text}}}"
    )


def material_theme() -> dict[str, Any]:
    """The same colours for the Material components."""
    return {"light": _material(LIGHT), "dark": _material(DARK)}


def _material(palette: Palette) -> dict[str, Any]:
    return {
        "palette": {
            "primary": {"main": palette.accent},
            "background": {"default": palette.surface, "paper": palette.surface},
            "text": {"primary": palette.text, "secondary": palette.muted},
            "divider": palette.line,
        },
        "shape": {"borderRadius": 6},
        "typography": {"fontSize": 12.5},
    }
