"""docs/viewer.md says what is so: its pages, options and conditions are there."""

import re
from pathlib import Path

from flowglass.pipeline import cli
from flowglass.store import open_store
from flowglass.store.cohorts import Cohort
from flowglass.viewer.views import VIEWS

PAGE = Path(__file__).parents[2] / "docs" / "viewer.md"
TEXT = PAGE.read_text()


def test_every_page_is_in_the_tour() -> None:
    """By the name that it has in the bar; what no bar names, as `a head`."""
    named = set(re.findall(r"^\| \*\*(.*?)\*\* \|", TEXT, re.M))
    listed = {kind.title for kind in VIEWS.values() if kind.is_listed}
    linked = {
        f"a {kind.title.lower()}" for kind in VIEWS.values() if not kind.is_listed
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
