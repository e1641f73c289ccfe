"""Pictures as SVG elements: marks and words, in whichever theme the reader has."""

from collections.abc import Iterable
from dataclasses import asdict
from html import escape

from flowglass.viewer.theme import DARK, LIGHT, Palette


def page(marks: Iterable[str], *, width: float, height: float, title: str) -> str:
    """An SVG document; its title is what somebody hears who does not see it."""
    ground = tag("rect", width="100%", height="100%", rx=8, fill=ink("surface"))
    parts = [tag("title", escape(title)), tag("style", STYLE), ground, *marks]
    return tag(
        "svg",
        "\n" + "\n".join(parts) + "\n",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
    )


def tag(name: str, content: str = "", /, **attributes: float | str) -> str:
    """An element; an attribute `data_value` is written `data-value`."""
    said = "".join(
        f' {key.replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{said}>{content}</{name}>" if content else f"<{name}{said}/>"


def words(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    colour: str = "text",
    weight: int = 400,
) -> str:
    """A line of text that stands on y."""
    return tag(
        "text",
        escape(text),
        x=x,
        y=y,
        text_anchor=anchor,
        fill=ink(colour),
        font_weight=weight,
    )


def line(
    x1: float, y1: float, x2: float, y2: float, *, colour: str, thick: float = 1
) -> str:
    """A straight line."""
    return tag(
        "line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=ink(colour), stroke_width=thick
    )


def ink(colour: str) -> str:
    """A colour of the palette, in the reader's theme."""
    return f"var(--{colour.replace('_', '-')})"


def _value(value: float | str) -> str:
    return escape(value) if isinstance(value, str) else f"{round(value, 4):.10g}"


def _colours(palette: Palette) -> str:
    return "".join(
        f"--{name.replace('_', '-')}:{value};"
        for name, value in asdict(palette).items()
    )


STYLE = f"""
svg {{ {_colours(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ svg {{ {_colours(DARK)} }} }}
text {{ font-family: system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif;
  font-size: 13px; font-variant-numeric: tabular-nums }}
"""
