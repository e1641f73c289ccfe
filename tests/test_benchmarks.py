"""The benchmarks run: on a tiny model here, for real with `make bench`."""

import math
import os
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import GPT2LMHeadModel

from flowglass.pipeline.model import prepare
from flowglass.store import open_store

from .pipeline.tiny_models import tiny_gpt2

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A benchmark's names, as if it were run from its folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: runpy.run_path(str(BENCHMARKS / name))


def test_rows_and_bytes_by_table(script: Any) -> None:
    """Every table is measured."""
    names = script("tables.py")
    report = names["sizes"](prepare(tiny_gpt2(), name="tiny"), tokens=32, length=16)
    assert {"edges", "lens", "writes", "tensors"} <= set(report.columns[0].cells)


@pytest.mark.parametrize("project", ["none", "routes"])
def test_sweep_over_plain_forward(script: Any, project: str) -> None:
    """Ratio, rate, sizes and memory; the stages add up to the whole."""
    names = script("sweep.py")
    tiny = prepare(tiny_gpt2(), name="tiny")

    found = names["measure"](tiny, length=16, project=project, pairs=1)

    assert set(found.stages) == set(names["stage_names"]())
    assert all(share > 0 for share in found.stages.values())
    assert sum(found.stages.values()) == pytest.approx(found.ratio)
    assert found.tokens_per_second > 0
    assert found.bytes_per_token > 0
    assert found.edges_per_token > 0
    assert len(names["row"]("tiny", found)) == len(names["report"]().columns)


def test_every_case_has_a_name_of_its_own(script: Any) -> None:
    """What `make bench` measures can be chosen by name."""
    names = [name for name, _ in script("sweep.py")["cases"]()]
    assert len(set(names)) == len(names) > 10


WRITTEN = [
    "prompts",
    "tokens",
    "edges",
    "steps",
    "heads",
    "targets",
    "routes",
    "importance",
    "logit_attribution",
    "neurons",
    "component_stats",
]


@pytest.fixture
def corpus(script: Any, tmp_path: Path) -> Path:
    """A made-up store of 300 prompts: two shards, a small model."""
    names = script("corpus.py")
    shape = names["Shape"](n_layers=2, n_heads=3, d_model=12, d_ffn=48, vocab_size=99)
    names["write_corpus"](tmp_path / "made-up", names["Corpus"](300, shape))
    return tmp_path / "made-up"


def test_a_made_up_store_is_like_one_of_a_sweep(corpus: Path) -> None:
    """Every table of `--project none`; parts sum to 1, as do edges and the rest."""
    with open_store(corpus) as store:
        (run,) = store.runs().to_pylist()
        empty = [
            name
            for name in WRITTEN
            if store.sql(f"SELECT count(*) FROM {name}").fetchall() == [(0,)]
        ]
        sums = store.table(
            """
            SELECT any_value(resid + attn + ffn) AS whole,
                   any_value(below_cutoff) + sum(contribution) AS stored
            FROM edges JOIN steps USING (prompt_id, layer, step, query)
            GROUP BY prompt_id, layer, step, query
            """
        )
    assert run["status"] == "complete"
    assert not empty
    assert np.abs(sums["whole"].to_numpy() - 1).max() < 4e-3
    assert np.abs(sums["stored"].to_numpy() - 1).max() < 4e-3


def test_copies_of_a_made_up_prompt_differ(corpus: Path) -> None:
    """A store larger than the pool has a prompt's text again, not its numbers."""
    query = """
        SELECT count(*), count(*) FILTER (one.contribution = other.contribution)
        FROM prompts AS a JOIN prompts AS b
            ON a.text = b.text AND a.prompt_id < b.prompt_id
        JOIN heads AS one ON one.prompt_id = a.prompt_id
        JOIN heads AS other ON other.prompt_id = b.prompt_id
            AND other.layer = one.layer AND other.head = one.head
        WHERE one.contribution > 0
    """
    with open_store(corpus) as store:
        pairs, equal = store.sql(query).fetchall()[0]
    assert pairs > 100
    assert equal == 0


def test_a_made_up_store_goes_on_where_it_was_stopped(
    script: Any, corpus: Path
) -> None:
    """A shard whose commit record is gone is made again, with the same rows."""
    names = script("corpus.py")
    shape = names["Shape"](n_layers=2, n_heads=3, d_model=12, d_ffn=48, vocab_size=99)
    total = "SELECT sum(contribution) FROM edges"
    with open_store(corpus) as store:
        whole = store.sql(total).fetchall()
    next(corpus.rglob("commits/000001.json")).unlink()

    names["write_corpus"](corpus, names["Corpus"](300, shape))

    with open_store(corpus) as store:
        assert store.sql(total).fetchall() == whole


def test_every_question_has_an_answer(script: Any, corpus: Path) -> None:
    """Each is timed warm and cold, beside a scan of its files."""
    names = script("queries.py")
    for question in names["QUESTIONS"]:
        found = names["timed"](corpus, question)
        assert found.rows > 0
        assert min(*found.warm, *found.cold, found.scan) > 0
        assert len(names["row"]("", question.bar, found)) == len(names["HEADER"])


def test_a_question_about_a_prompt_finds_its_edges(script: Any, corpus: Path) -> None:
    """As many as the table has of it."""
    names = script("queries.py")
    question = names["QUESTIONS"][0]
    with open_store(corpus) as store:
        about = names["instances"](store, seed=0)[0]
        counted = store.sql(
            "SELECT count(*) FROM edges WHERE prompt_id = $prompt_id",
            {"prompt_id": about["prompt_id"]},
        ).fetchall()
        assert counted == [(question.ask(store, about),)]


def test_density_of_a_bundled_model(script: Any) -> None:
    """Bytes of every table; a lower cutoff keeps more rows and mass."""
    names = script("density.py")
    few, many = (
        names["of_model"]("tiny-gpt2", cutoff=cutoff, n_prompts=2)
        for cutoff in (0.04, 0.003)
    )
    lost = names["OF_ATTENTION"].format("below_cutoff")
    assert many.per_token("edges")[0] > few.per_token("edges")[0]
    assert names["statistic"](many, lost) < names["statistic"](few, lost)
    assert few.total == pytest.approx(
        sum(b for _, b in map(few.per_token, few.n_bytes))
    )


def test_density_compares_models_and_stores(script: Any, corpus: Path) -> None:
    """Every statistic is a number for a store with routes as deep as asked."""
    names = script("density.py")
    shards = {"store": names["of_store"](corpus)}
    numbers = [float(line[1]) for line in names["compared"](shards)]
    assert not any(map(math.isnan, numbers))
    assert numbers[0] == 2
    assert names["by_table"](shards)[-1][0] == "all"


def test_a_deeper_model_can_be_trained_and_measured(
    script: Any, tmp_path: Path
) -> None:
    """It is saved with its tokenizer, and density is measured of its folder."""
    names = script("deeper.py")
    model = GPT2LMHeadModel(names["deeper"](layers=3, heads=2, width=8))
    names["train"](model, tmp_path, steps=1, seed=0)

    shard = script("density.py")["of_model"](str(tmp_path), n_prompts=2)

    assert set(shard.tables["edges"]["layer"].to_pylist()) == {0, 1, 2}


def test_planning(script: Any, tmp_path: Path) -> None:
    """Every step of planning is timed, in either order."""
    names = script("planning.py")
    names["write_prompts"](tmp_path, n=50)
    for file in tmp_path.iterdir():
        for order in ("given", "fair"):
            found = names["plan"](file, "answer", order)
            assert len(names["row"]("case", found)) > 3


def test_workers(script: Any, tmp_path: Path) -> None:
    """A rate is read off the records of a sweep."""
    names = script("workers.py")
    names["write_prompts"](tmp_path / "mixed.jsonl", 2 * 256)
    with names["in_process"]() as engine:
        found = names["measure"](
            engine,
            model="tiny-gpt2",
            data=tmp_path / "mixed.jsonl",
            store=tmp_path / "store",
        )
    assert found.rate > 0
    assert found.idle is None


@pytest.mark.skipif(
    not os.environ.get("FLOWGLASS_SOAK"), reason="minutes: only in `make soak`"
)
def test_the_viewer(script: Any, tmp_path: Path) -> None:
    """Everything with a bar is measured, in a browser and without one."""
    names = script("viewer.py")
    store = script("viewer_server.py")["make_demo"](tmp_path / "demo", limit=2)
    dense = script("viewer_server.py")["make_dense"](tmp_path / "dense")
    few = {"cold": 1, "warm": 1, "prompts": 3, "steps": 2, "sessions": 4, "turns": 2}
    size = names["Size"](**few, look=0)

    found = list(names["measure"](store, dense, size, gone=0))

    assert len([each for each in found if each.bar < math.inf]) == 8
    values = {each.name: each.values for each in found}
    assert all(len(names["row"](each)) == len(names["HEADER"]) for each in found)
    assert all(min(v) > 0 for k, v in values.items() if "session more" not in k)
    assert min(values["edges drawn"]) > 4000
