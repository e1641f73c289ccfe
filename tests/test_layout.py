"""The shape of the repository: imports, owners of libraries, and what ships."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "datasets": set(),
    "store": set(),
    "pipeline": {"datasets", "store"},
    "viewer": {"store"},
}
LIVE_PROMPT = ROOT / "viewer" / "live_sweep.py"
"""The one file of the viewer that may use what is above the store; test_live_prompt.py
has the viewer start without it."""
OWNERS = {
    "torch": "pipeline",
    "transformers": "pipeline",
    "duckdb": "store",
    "dask": "pipeline",
    "panel": "viewer",
    "holoviews": "viewer",
    "bokeh": "viewer",
}
SOURCES = [p for folder in MAY_IMPORT for p in sorted((ROOT / folder).rglob("*.py"))]


def absolute_imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_folders_import_only_what_they_may(path: Path) -> None:
    """Imports run one way, and every library has one owner."""
    folder = path.relative_to(ROOT).parts[0]
    imports = absolute_imports(path)
    rooms = {i.split(".")[1] for i in imports if i.startswith("flowglass.")}
    more = {"pipeline", "datasets"} if path == LIVE_PROMPT else set()
    assert rooms <= MAY_IMPORT[folder] | more
    packages = {i.split(".")[0] for i in imports}
    assert not packages & {"pipeline", "store", "viewer"}
    assert {OWNERS[p] for p in packages & OWNERS.keys()} <= {folder}


def test_type_checkers_see_every_folder() -> None:
    """.typing has one working link per folder."""
    for folder in MAY_IMPORT:
        assert (ROOT / ".typing" / "flowglass" / folder).resolve() == ROOT / folder


def test_datasets_does_not_shadow_hugging_face() -> None:
    """With an __init__.py our folder would hide the package `datasets`."""
    assert not (ROOT / "datasets" / "__init__.py").exists()
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_every_package_is_shipped() -> None:
    """What lies on disk is what pyproject.toml names."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = set(config["tool"]["setuptools"]["packages"])
    on_disk = {
        ".".join(("flowglass", *p.parent.relative_to(ROOT).parts)) for p in SOURCES
    }
    assert on_disk == shipped
