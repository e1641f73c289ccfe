"""docs/viewer.md says what is so: its pages, options and conditions are there."""

import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

from flowglass.pipeline import cli
from flowglass.store import open_store
from flowglass.store.cohorts import Cohort
from flowglass.viewer.views import VIEWS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "viewer.md"
TEXT = PAGE.read_text()


def test_every_page_is_in_the_tour() -> None:
    """By the name that it has in the bar; what no bar names, as `a head`."""
    named = set(re.findall(r"^\| \*\*(.*?)\*\* \|", TEXT, re.M))
    listed = {kind.title for kind in VIEWS.values() if kind.is_listed}
    linked = {
        "an FFN" if kind.title == "FFN" else f"a {kind.title.lower()}"
        for kind in VIEWS.values()
        if not kind.is_listed
    }
    assert named == {"Prompts", "a prompt"} | listed | linked


def test_its_options_are_the_sweeps() -> None:
    """Each that the tour recommends is an option of `flowglass sweep`."""
    options = set(re.findall(r"`(--[a-z-]+)", TEXT))
    assert len(options) >= 5
    known = {f"--{name.replace('_', '-')}" for name in cli.sweep.__annotations__}
    assert options <= known


def test_its_conditions_choose_targets(demo_path: Path) -> None:
    """As they stand; in this store some choose none."""
    (sentence,) = re.findall(r"A condition on Compare is SQL.*?\(\[", TEXT, re.S)
    conditions = [" ".join(c.split()) for c in re.findall(r"`(.*?)`", sentence, re.S)]
    assert len(conditions) == 3
    with open_store(demo_path) as store:
        run = store.runs()["run_id"][0].as_py()
        every = store.cohort_size(Cohort(run))
        for condition in conditions:
            inside, outside = (
                store.cohort_size(Cohort(run, where))
                for where in (condition, f"({condition}) is not true")
            )
            assert inside.n_targets + outside.n_targets == every.n_targets


def test_its_links_lead_somewhere() -> None:
    """To pages that are there, and headings of theirs."""
    for page, name in re.findall(r"\]\(([\w.]+)#?([\w-]*)\)", TEXT):
        there = PAGE.with_name(page).read_text()
        headings = {
            h.lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", there, re.M)
        }
        assert not name or name in headings


def test_every_picture_is_shown() -> None:
    """What docs/images holds, the tour or the README shows, with a word of it."""
    text = TEXT + (ROOT / "README.md").read_text()
    shown = dict(re.findall(r"!\[(.*?)\]\((?:docs/)?images/([\w.-]+)\)", text, re.S))
    there = {picture.name for picture in (ROOT / "docs" / "images").iterdir()}
    assert {*shown.values()} == there
    assert min(map(len, shown)) > 20


def test_its_pictures_can_be_taken_again(demo: str, tmp_path: Path) -> None:
    """One of them, of another store: a PNG that shows more than one colour."""
    script = ROOT / "docs" / "figures" / "screenshots.py"
    command = [sys.executable, script, demo, "--only", "routes", "--out", tmp_path]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "routes.png") as picture:
        assert picture.size == (1280, 800)
        assert len(picture.getcolors() or []) > 20
