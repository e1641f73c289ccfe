"""What is damaged is named with its remedy, in a sandbox as elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flowglass.store import StoreError
from flowglass.store.sandbox import Limits, open_sandbox

from .builders import make_plan, write_run


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def without_content(file: Path) -> None:
    file.write_bytes(b"")


def with_blank_footer(file: Path) -> None:
    data = file.read_bytes()
    length = 8 + int.from_bytes(data[-8:-4], "little")
    file.write_bytes(data[:-length] + bytes(length - 8) + data[-8:])


@pytest.mark.parametrize("shard", [0, 1])
@pytest.mark.parametrize(
    "damage", [Path.unlink, cut, without_content, with_blank_footer]
)
def test_a_damaged_file_is_named_with_its_remedy(
    tmp_path: Path, damage: Callable[[Path], None], shard: int
) -> None:
    """Whether a view cannot be made of it or a query comes across it."""
    root = tmp_path / "a store [1]"
    write_run(root, make_plan())
    limits = Limits(30, "1GB", None)
    (file,) = root.glob(f"runs/*/data/edges/shard=00000{shard}/*")
    with open_sandbox(root, limits) as sandbox:
        damage(file)
        with pytest.raises(StoreError) as refusal:
            sandbox.query("SELECT sum(contribution) FROM edges")
        assert sandbox.query("FROM prompts").table.num_rows == 6
    assert f"file {file} is missing or damaged" in str(refusal.value)
    assert "`flowglass verify STORE --repair`" in str(refusal.value)


def test_a_link_out_of_the_store_is_not_followed(tmp_path: Path) -> None:
    """A file that may not be read is no damaged one: its record must stay."""
    write_run(tmp_path / "store", make_plan())
    run = tmp_path / "store/runs/run_id=tiny"
    run.rename(tmp_path / "elsewhere")
    run.symlink_to(tmp_path / "elsewhere")
    with (
        open_sandbox(tmp_path / "store", Limits(30, "1GB", None)) as sandbox,
        pytest.raises(StoreError, match=r"may not be read: .* link") as refusal,
    ):
        sandbox.query("FROM edges")
    assert "--repair" not in str(refusal.value)


def test_damage_within_a_file_is_told(tmp_path: Path) -> None:
    """Where DuckDB does not say in which, whoever can look says so."""
    write_run(tmp_path, make_plan())
    (file,) = tmp_path.glob("runs/*/data/edges/shard=000001/*")
    data = file.read_bytes()
    broken = "SELECT DISTINCT kind FROM edges"
    with open_sandbox(tmp_path, Limits(30, "1GB", None)) as sandbox:
        expected = sandbox.query(broken).table
        said = set()
        for place in range(4, len(data) // 2, 37):
            file.write_bytes(data[:place] + b"\xff\xff\xff" + data[place + 3 :])
            try:
                assert sandbox.query(broken).table.schema == expected.schema
            except StoreError as error:
                said.add(str(error))
    assert said
    for message in said:
        assert str(file) in message or "`flowglass verify` names it" in message
