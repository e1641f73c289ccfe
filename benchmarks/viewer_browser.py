"""What a reader waits for, measured in Chromium for viewer.py.

All times are the page's own clock: from the start of the navigation or from the event
that a click or the slider makes, to the frame that shows it. So they hold the network,
the server, the drawing, and up to one frame's wait for the screen.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from viewer_server import LOW, NEXT, Prompt, viewing

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PATIENCE = 120_000  # ms
LOOK = 1000
"""Milliseconds in which a reader looks at a page before the next click."""

FIND = """
window.find = (selector, root = document) => {
    const here = root.querySelector(selector)
    if (here) return here
    for (const each of root.querySelectorAll("*")) {
        const inside = each.shadowRoot && find(selector, each.shadowRoot)
        if (inside) return inside
    }
    return null
}
window.onceTrue = (condition) => new Promise((done, fail) => {
    const began = performance.now()
    const look = () => {
        // A task of its own, after the frame that made it true has been painted.
        if (condition()) setTimeout(() => done(performance.now()))
        else if (performance.now() - began > 60000) fail(`never: ${condition}`)
        else requestAnimationFrame(look)
    }
    look()
})
window.listed = () => {
    const row = find("table[aria-label=Prompts] tbody tr")
    return row && row.getBoundingClientRect().height > 0
}
window.drawn = ([title, target, edges]) => {
    const graph = find("[data-testid=route-graph]")
    return graph && graph.getBoundingClientRect().height > 0
        && document.title.startsWith(title)
        && graph.dataset.target === target && graph.dataset.edges === edges
}
"""
"""Panel's components lie in open shadow roots: `find` looks into all of them."""

STEP = """async (values) => {
    const [slider, graph] = [find("input.threshold"), find("[data-testid=route-graph]")]
    const canvases = [...graph.querySelectorAll(".stage canvas")]
    const step = (value) => new Promise((done) => requestAnimationFrame(() => {
        const began = performance.now()
        slider.value = value
        slider.dispatchEvent(new Event("input", { bubbles: true }))
        requestAnimationFrame(() => {
            // Behind the graph's own: reading a pixel waits until all are drawn.
            for (const each of canvases) each.getContext("2d").getImageData(0, 0, 1, 1)
            done([performance.now() - began, Number(graph.dataset.edges)])
        })
    }))
    const found = []
    for (const value of values) found.push(await step(value))
    return found
}"""


@contextmanager
def chromium() -> Iterator[BrowserContext]:
    """A browser with an empty profile."""
    with sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, headless=True
        )
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(PATIENCE)
        context.add_init_script(FIND)
        yield context
        browser.close()


def first_paint(context: BrowserContext, address: str) -> float:
    """Milliseconds until the rows of the list of prompts are seen."""
    page = context.new_page()
    page.goto(address, wait_until="commit")
    took: float = page.evaluate("() => onceTrue(listed)")
    page.close()
    return took


def paints(store: Path, *, cold: int, warm: int) -> tuple[list[float], list[float]]:
    """First paints: of new browsers on new servers, then again in the last of them."""
    found: list[float] = []
    again: list[float] = []
    for turn in range(cold):
        with viewing(store) as viewer, chromium() as context:
            found.append(first_paint(context, viewer.address))
            if turn == cold - 1:
                again = [first_paint(context, viewer.address) for _ in range(warm)]
    return found, again


def other_prompts(
    context: BrowserContext, address: str, prompts: Sequence[Prompt]
) -> list[float]:
    """Milliseconds from a click in the list until that prompt's graph is drawn."""
    page = _opened(context, address)
    found = []
    for prompt in prompts:
        page.evaluate("() => onceTrue(listed)")
        page.wait_for_timeout(LOOK)
        found.append(_open(page, prompt))
        page.go_back()
    page.close()
    return found


def _opened(context: BrowserContext, address: str) -> Page:
    """A page that has loaded, and at which a reader has looked."""
    page = context.new_page()
    page.goto(address)
    page.evaluate("() => onceTrue(() => window.Bokeh?.documents[0]?.is_idle)")
    page.wait_for_timeout(LOOK)
    return page


def _open(page: Page, prompt: Prompt) -> float:
    took: float = page.evaluate(
        """async ([href, ...wanted]) => {
            const link = find(`a[href="${href}"]`)
            const began = performance.now()
            link.click()
            return await onceTrue(() => drawn(wanted)) - began
        }""",
        [prompt.query, *_signs(prompt)],
    )
    return took


def _signs(prompt: Prompt) -> list[Any]:
    """By what the page is known to show a prompt: title, target and number of edges."""
    return [f"prompt {prompt.prompt_id} ", str(prompt.target), str(prompt.n_edges)]


def slider_steps(
    context: BrowserContext, address: str, prompt: Prompt, *, steps: int
) -> list[tuple[float, int]]:
    """Milliseconds of each step of the slider, to and fro between its two lowest
    thresholds, and how many edges were drawn then."""
    page = _opened(context, f"{address}{prompt.query}&threshold={NEXT}")
    page.evaluate("(wanted) => onceTrue(() => drawn(wanted))", _signs(prompt))
    values = [LOW if turn % 2 == 0 else NEXT for turn in range(steps + 2)]
    found = page.evaluate(STEP, values)[2:]  # the first two compile it
    page.close()
    return [(took, edges) for took, edges in found]


def distinct(prompts: Sequence[Prompt], most: int) -> list[Prompt]:
    """The first prompts of the list's first page that look unlike the one before."""
    found: list[Prompt] = []
    for prompt in prompts[:25]:
        if not found or _signs(found[-1])[1:] != _signs(prompt)[1:]:
            found.append(prompt)
    return found[:most]
