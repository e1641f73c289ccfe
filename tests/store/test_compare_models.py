"""Cohorts of real sweeps: what is known of the models, and a head that was planted."""

from collections.abc import Iterator

import pandas as pd
import pytest

from flowglass.datasets.catalog import builtin_prompts
from flowglass.pipeline import sweep
from flowglass.store import Store, open_store
from flowglass.store.cohorts import Cohort
from flowglass.store.compare import about

from .planted_head import HEAD, sentence_end_model

MODELS = ["tiny-gpt2", "tiny-llama"]
N_PROMPTS = 40
ENDS, OTHERS = "ends_sentence", "not ends_sentence and not is_special"
LAST_LAYER = 3


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Both bundled models on four tasks, traced at the last position."""
    root = tmp_path_factory.mktemp("tasks")
    options = {"limit": N_PROMPTS, "targets": "last", "project": "none"}
    data = ["ioi", "agreement", "induction", "facts"]
    for model in MODELS:
        sweep(model=model, data=data, store=root, run=model, **options)
    with open_store(root) as store:
        yield store


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """tiny-gpt2 as it is and with a planted head, traced at every position."""
    root = tmp_path_factory.mktemp("sentences")
    texts = [prompt.text for prompt in builtin_prompts("sentences")[:100]]
    module, tokenizer = sentence_end_model(texts)
    options = {"limit": 30, "targets": "all", "project": "none"}
    data = ["sentences"]
    sweep(model="tiny-gpt2", data=data, store=root, run="plain", **options)
    sweep(
        model=module,
        tokenizer=tokenizer,
        data=data,
        store=root,
        run="planted",
        **options,
    )
    with open_store(root) as store:
        yield store


def heads_by(
    column: str, store: Store, model: str, a: str, b: str, measure: str
) -> pd.DataFrame:
    """Heads in the comparison of two tasks, the largest of a column first."""
    cohorts = [Cohort(model, f"dataset = '{task}'") for task in (a, b)]
    found = store.compare(*cohorts, measure=measure).to_pandas()
    assert (found["n_prompts_a"] == N_PROMPTS).all()
    heads = found[found["component"] == "head"]
    return heads.sort_values(column, ascending=False).set_index(["layer", "index"])


@pytest.mark.parametrize(("model", "among"), [("tiny-gpt2", 2), ("tiny-llama", 3)])
def test_heads_that_promote_the_answer_rank_high_in_ioi(
    tasks: Store, model: str, among: int
) -> None:
    """The two that add most to the prediction in `ioi` above `agreement` name people.

    They are among those that write the answer rather than the distractor most.
    """
    first = heads_by("difference", tasks, model, "ioi", "agreement", "logit").head(2)
    query = """
        from attribution_by_category select layer, index
        where run_id = ? and dataset = 'ioi' and component = 'head'
        group by all order by sum(answer_over_distractor * n_pairs) desc
    """
    promoting = tasks.sql(query, [model]).fetchall()[:among]
    assert set(first.index) <= set(promoting)
    assert (first["q"] < 0.05).all()
    assert (first["low"] > 0).all()


@pytest.mark.parametrize(
    ("model", "measure", "among"),
    [("tiny-gpt2", "contribution", 1), ("tiny-llama", "logit", 2)],
)
def test_induction_heads_rank_first_in_induction(
    tasks: Store, model: str, measure: str, among: int
) -> None:
    """Against `facts`, the head of the largest effect reads by induction."""
    first = heads_by("effect", tasks, model, "induction", "facts", measure).head(1)
    query = """
        from heads join prompts using (run_id, prompt_id) select layer, head
        where run_id = ? and dataset = 'induction'
        group by all order by sum(on_after_same) / sum(contribution) desc
    """
    inducing = tasks.sql(query, [model]).fetchall()[:among]
    assert first.index[0] in inducing
    assert first["q"].iloc[0] < 0.05


def test_sentence_ends_against_other_tokens(sentences: Store) -> None:
    """Every component has an interval and its numbers of prompts and targets.

    Whatever the outcome: here the large ones bring more at a sentence's end.
    """
    found = sentences.compare(Cohort("plain", ENDS), Cohort("plain", OTHERS))
    assert about(found).kind == "same prompts"
    assert about(found).notes == ()
    counted = sentences.sql(
        f"select count(*) filter ({ENDS}), count(*) filter ({OTHERS}) "
        "from cohort_targets where run_id = 'plain'"
    ).fetchall()
    frame = found.to_pandas()
    assert len(frame) == 20
    assert {*zip(frame.n_targets_a, frame.n_targets_b, strict=True)} == {*counted}
    assert {*zip(frame.n_prompts_a, frame.n_prompts_b, strict=True)} == {(30, 30)}
    assert ((frame.low < frame.difference) & (frame.difference < frame.high)).all()
    assert frame.p.between(1 / 2000, 1).all()
    assert (frame.q >= frame.p).all()


def test_a_head_planted_at_sentence_ends_is_found(sentences: Store) -> None:
    """It differs most of all components, upwards; as trained it goes downwards."""
    found = {
        run: sentences.compare(Cohort(run, ENDS), Cohort(run, OTHERS)).to_pandas()
        for run in ("planted", "plain")
    }
    where = f"layer == {LAST_LAYER} and component == 'head' and index == {HEAD}"
    (planted,) = found["planted"].query(where).itertuples()
    assert planted.Index == found["planted"]["effect"].idxmax()
    assert planted.q < 0.05
    assert planted.low > 0
    (plain,) = found["plain"].query(where).itertuples()
    assert plain.high < 0


def test_a_head_planted_in_one_of_two_runs_is_found(sentences: Store) -> None:
    """The same sentence ends in both models: it is the one that differs most."""
    comparison = sentences.compare(Cohort("planted", ENDS), Cohort("plain", ENDS))
    assert about(comparison).kind == "two runs"
    found = comparison.to_pandas()
    first = found.loc[found["effect"].abs().idxmax()]
    assert (first.layer, first.component, first["index"]) == (LAST_LAYER, "head", HEAD)
    assert first.q < 0.05
    assert first.low > 0


def test_a_predicate_in_a_sandbox_gives_the_same(sentences: Store) -> None:
    """What a reader of the viewer types is what Python says."""
    cohorts = Cohort("plain", ENDS), Cohort("plain", OTHERS)
    with sentences.sandbox() as sandbox:
        there = sentences.compare(*cohorts, sandbox=sandbox)
    assert there == sentences.compare(*cohorts)
