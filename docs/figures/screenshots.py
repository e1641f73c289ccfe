"""Pictures of the viewer's pages about a corpus, for docs/viewer.md.

    flowglass view runs/ --no-browser &       # the store that `make demo` leaves
    python docs/figures/screenshots.py http://127.0.0.1:5006 [--only compare ...]

Each page is opened in Debian's Chromium and saved once its last words are there.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = "/usr/bin/chromium"
COLOURS = 200
"""Of a picture; it is half as large as with all of them, and looks the same."""
SETTLED = 2500
"""Milliseconds until nothing fades or slides any more."""


@dataclass(frozen=True)
class Shot:
    """A page of the newest run, what is said last on it, and how much of it is seen."""

    ready: str
    asked: dict[str, str]
    size: tuple[int, int] = (1280, 800)


SHOTS = {
    "components": Shot(
        "residual stream, beside the FFN",
        {"view": "components", "facet": "dataset"},
        (1280, 1000),
    ),
    "compare": Shot(
        "95% interval",
        {
            "view": "compare",
            "a": "dataset = 'addition'",
            "b": "dataset = 'facts'",
            "measure": "frequency",
        },
    ),
    "routes": Shot(
        "Most frequent attention edges", {"view": "routes", "dataset": "ioi"}
    ),
    "head": Shot("Promoted", {"view": "head", "layer": "3", "head": "2"}, (1280, 1000)),
}


def main() -> None:
    """Take those that are named, or all."""
    parser = argparse.ArgumentParser(description="Take pictures of the viewer's pages.")
    parser.add_argument("address", help="of a running `flowglass view`")
    parser.add_argument("--only", action="append", choices=[*SHOTS])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        for name in asked.only or SHOTS:
            picture = asked.out / f"{name}.png"
            take(browser, asked.address, SHOTS[name], picture)
            print(picture)
        browser.close()


def take(browser: Browser, address: str, shot: Shot, picture: Path) -> None:
    """Save a page as it looks."""
    width, height = shot.size
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(f"{address.rstrip('/')}/?{urlencode(shot.asked)}")
    page.get_by_text(shot.ready).first.wait_for(state="attached", timeout=60_000)
    page.locator("#loader").wait_for(state="hidden", timeout=60_000)
    page.wait_for_timeout(SETTLED)
    page.screenshot(path=picture)
    page.close()
    with Image.open(picture) as taken:
        few = taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(picture, optimize=True)


if __name__ == "__main__":
    main()
