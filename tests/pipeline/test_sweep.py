"""The main job end to end: rows in a store, resumed, repeated, refused."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from flowglass.pipeline import Run, sweep, trace
from flowglass.pipeline.execute import TooManyFailed
from flowglass.pipeline.loading import load_tokenizer
from flowglass.store import open_store

from .stores import assert_same_rows, rows
from .tiny_models import tiny_llama

KILLS = 10 if os.environ.get("FLOWGLASS_SOAK") else 3


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 300 prompts, so more than one shard, of mixed lengths."""
    file = tmp_path_factory.mktemp("data") / "mixed.jsonl"
    from flowglass.datasets.tasks import sample

    drawn = [*sample("facts", "held-out", 150), *sample("ioi", "held-out", 150)]
    file.write_text(
        "\n".join(
            json.dumps(
                {
                    "text": p.text,
                    "group": p.category,
                    "answer": p.answer,
                    "distractor": p.distractor,
                    "n": i,
                }
            )
            for i, p in enumerate(drawn)
        )
    )
    return file


@pytest.fixture(scope="module")
def swept(prompts: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return sweep(
        model="tiny-llama", data=str(prompts), store=tmp_path_factory.mktemp("store")
    )


def test_run_describes_itself(swept: Run, prompts: Path) -> None:
    """`runs` has one complete row with everything needed to repeat it."""
    with open_store(swept.store) as store:
        (row,) = store.sql("select * from runs").to_arrow_table().to_pylist()
    assert (row["run_id"], row["status"]) == (swept.run_id, "complete")
    assert (row["n_prompts"], row["n_quarantined"]) == (300, 0)
    assert (row["n_heads"], row["n_kv_heads"]) == (4, 2)
    assert row["n_tokens"] == swept.n_tokens
    config = json.loads(row["config"])
    assert config["data"] == [str(prompts)]
    assert config["kernel"] == "numba"
    assert (config["cutoff"], config["targets"]) == (0.01, "last")


def test_prompts_keep_their_order_and_metadata(swept: Run) -> None:
    """prompt_id is the line's place; `group` is the category, `n` is metadata."""
    found = rows(swept.store, "prompts").to_pylist()
    assert [row["prompt_id"] for row in found] == list(range(300))
    assert [json.loads(row["metadata"])["n"] for row in found] == list(range(300))
    assert found[0]["dataset"] == "mixed"
    assert found[0]["category"] in ("capital", "language", "continent", "currency")
    assert max(row["closure"] for row in found) < 2e-5


def test_sweep_and_trace_agree(swept: Run) -> None:
    """A prompt's rows in the store are those of a trace of that prompt."""
    (prompt,) = [
        r for r in rows(swept.store, "prompts").to_pylist() if r["prompt_id"] == 17
    ]
    t = trace("tiny-llama", prompt["text"], answer=prompt["answer"])
    with open_store(swept.store) as store:
        stored = store.sql(
            "select layer, head, query, key, contribution from edges "
            "where prompt_id = 17 and kind = 'attn' order by all"
        ).to_arrow_table()
    due = {
        (r["layer"], r["head"], r["query"], r["key"]): r["contribution"]
        for r in t.edges.to_pylist()
        if r["kind"] == "attn"
    }
    found = {
        (r["layer"], r["head"], r["query"], r["key"]): r["contribution"]
        for r in stored.to_pylist()
    }
    for key in due.keys() | found.keys():  # within one rounding step
        assert found.get(key, 0.01) == pytest.approx(due.get(key, 0.01), rel=2**-7)


def test_component_stats_are_the_rolled_up_importance(swept: Run) -> None:
    """Counts and sums equal a direct GROUP BY, zeros for what is never in a route."""
    with open_store(swept.store) as store:
        (n,) = store.sql(
            """
            with direct as (
                select dataset, category, layer, component, index,
                       count(*) filter (i.survives_at > 0.04) as n_004,
                       sum(i.contribution) as total
                from importance i join prompts p using (run_id, prompt_id)
                group by all
            )
            select count(*) from component_stats s left join direct d
            using (dataset, category, layer, component, index)
            where s.n_in_route_004 is distinct from coalesce(d.n_004, 0)
               or abs(s.contribution_sum - coalesce(d.total, 0)) > 1e-6
            """
        ).fetchall()[0]
        components = store.sql(
            "select count(*) from component_stats where category = 'ABB'"
        ).fetchall()[0][0]
    assert n == 0
    assert components == 4 * (4 + 1)


def test_the_same_command_does_nothing_more(swept: Run, prompts: Path) -> None:
    """A finished run is not run again, whatever the order of time."""
    again = sweep(model="tiny-llama", data=str(prompts), store=swept.store)
    assert again.run_id == swept.run_id
    assert again.n_prompts == 300


def test_two_runs_of_one_configuration_are_identical(
    swept: Run, prompts: Path, tmp_path: Path
) -> None:
    """Every table, row for row."""
    sweep(model="tiny-llama", data=str(prompts), store=tmp_path)
    assert_same_rows(tmp_path, swept.store)


def test_killed_and_resumed_is_as_if_undisturbed(
    swept: Run, prompts: Path, tmp_path: Path
) -> None:
    """kill -9 at random moments, then finish: the same rows, none twice."""
    command = [str(Path(sys.executable).parent / "flowglass"), "sweep"]
    command += [
        "--model",
        "tiny-llama",
        "--data",
        str(prompts),
        "--store",
        str(tmp_path),
    ]
    rng = random.Random(1)
    for _ in range(KILLS):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        runs = tmp_path / "runs"
        while process.poll() is None and not runs.exists():
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 3))
        process.send_signal(signal.SIGKILL)
        process.wait()

    done = sweep(model="tiny-llama", data=str(prompts), store=tmp_path)

    assert done.n_prompts == 300
    assert_same_rows(tmp_path, swept.store)


def test_another_configuration_is_another_run(swept: Run, prompts: Path) -> None:
    """Options that change rows change the run; a taken name is refused."""
    other = sweep(
        model="tiny-llama", data=str(prompts), store=swept.store, limit=3, run="small"
    )
    assert (other.run_id, other.n_prompts) == ("small", 3)
    with pytest.raises(Exception, match=r"small.*cutoff") as refused:
        sweep(
            model="tiny-llama",
            data=str(prompts),
            store=swept.store,
            limit=3,
            cutoff=0.02,
            run="small",
        )
    assert refused.value.exit_code == 2  # type: ignore[attr-defined]


def test_broken_decomposition_stops_the_sweep(prompts: Path, tmp_path: Path) -> None:
    """When nothing closes, the sweep says so after its first shard; rows are kept."""
    module = tiny_llama()
    module.resize_token_embeddings(768)
    torch.manual_seed(0)
    # Not on the seven tokens that the anatomy is found with.
    module.model.layers[1].register_forward_hook(
        lambda _, __, out: out + 0.01 * (out.shape[1] != 7)
    )
    with pytest.raises(TooManyFailed, match="quarantined"):
        sweep(
            model=module,
            tokenizer=load_tokenizer("tiny-llama"),
            data=str(prompts),
            store=tmp_path,
            limit=60,
            truncate=True,
        )
    found = rows(tmp_path, "quarantine").to_pylist()
    assert len(found) == 60
    assert {(row["step"], row["layer"]) for row in found} == {("ffn", 1)}
    assert rows(tmp_path, "edges").num_rows == 0
