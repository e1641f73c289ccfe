"""`flowglass verify` and `flowglass compact`, as one calls them."""

from pathlib import Path

import pytest

from .builders import make_plan, write_run
from .command import Run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_run(tmp_path, make_plan())
    return tmp_path


def test_verify_says_what_it_looked_at(run: Run, root: Path) -> None:
    """One line, and exit code 0."""
    assert run("verify", root) == (
        0,
        f"{root}: 15 files, 54 rows; nothing is wrong\n",
        "",
    )


def test_damage_is_named_repaired_and_gone(run: Run, root: Path) -> None:
    """Exit code 1 until it is repaired; each time it says what comes next."""
    (victim,) = root.glob("runs/*/data/edges/shard=000001/*")
    victim.write_bytes(victim.read_bytes()[:-1])
    code, out, err = run("verify", root)
    assert code == 1
    assert str(victim) in err
    assert err.count("\n") == 1
    assert out.endswith(f"1 wrong\nnext: flowglass verify {root} --repair\n")
    code, out, _ = run("verify", root, "--repair")
    assert code == 0
    assert "dropped from run_id=tiny: shards 1\nnext: the same sweep again" in out
    assert run("verify", root)[0] == 0


def test_what_cannot_be_repaired_stays_wrong(run: Run, root: Path) -> None:
    """A plan is to be restored: exit code 1, whatever is asked."""
    (root / "runs/run_id=tiny/plan.json").write_text("{")
    for arguments in (["verify", root], ["verify", root, "--repair"]):
        code, out, err = run(*arguments)
        assert code == 1
        assert "plan.json is damaged" in err
    assert out.endswith(
        "1 wrong\nnot all of it can be repaired: see above what to do\n"
    )


def test_compact_says_what_it_did_and_what_waits(run: Run, root: Path) -> None:
    """And removes what is superseded once its time has come."""
    code, out, err = run("compact", root)
    assert (code, err) == (0, "")
    assert f"{root}: 15 files merged into 5\n15 superseded files stay" in out
    _, out, _ = run("compact", root, "--grace", 0)
    assert out == (
        f"{root}: nothing to merge\nremoved 15 files that were superseded before\n"
    )
    assert run("compact", root)[1] == f"{root}: nothing to merge\n"
