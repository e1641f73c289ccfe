"""Which targets a condition chooses, what is known of them, what prompts add up to."""

from pathlib import Path

import numpy as np
import pytest

from flowglass.pipeline.text import is_delimiter
from flowglass.store import StoreError, open_store
from flowglass.store.cohorts import (
    MEASURES,
    Cohort,
    CohortSize,
    Targets,
    chosen_targets,
    prompt_sums,
)

from .builders import important, make_plan, prompt, target
from .hand_made import Rows, found, write

START = "<s>"
TEXTS = [
    [START, "Mr", ".", " Fox", " said", ":", ' "', "No", "!", '"', " Why", "?", "?"],
    [" pi", " is", " 3", ".", "14", ".", "\n", " pi", " (so", ".)", "。", "好"],
    [
        "ab",
        "c",
        " ab",
        "ab",
        "...",
        "\u00a0",
        "\x0b.",
        " ,",
        "—",
        "$",
        "\n\n",
        " ",
        "”.",
    ],
]
ENDS = {(0, 2), (0, 9), (0, 12), (1, 5), (1, 10), (2, 4), (2, 6), (2, 12)}
SPECIAL = {(0, 0)}


def tokens_of(prompt_id: int, texts: list[str]) -> Rows:
    same = {"top_token_id": 1, "top_token": "a", "top_prob": 0.5, "entropy": 1.0}
    words = np.cumsum([text[0].isspace() for text in texts]).tolist()
    return [
        {
            "prompt_id": prompt_id,
            "position": i,
            "token_id": sum(map(ord, text)),
            "token": text,
            "word": None if text == START else words[i],
            "is_special": text == START,
            **same,
        }
        for i, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every position of three odd texts is a target; prompt 1 has a category."""
    root = tmp_path_factory.mktemp("texts")
    write(
        root,
        make_plan(n_shards=1),
        prompts=[
            prompt(0, metadata='{"who": "Fox"}'),
            prompt(1, category="x"),
            prompt(2, metadata='{"who": "nobody"}'),
        ],
        tokens=[row for i, text in enumerate(TEXTS) for row in tokens_of(i, text)],
        targets=[
            target(i, at) for i, text in enumerate(TEXTS) for at in range(len(text))
        ],
    )
    return root


def chosen(root: Path, where: str) -> set[tuple[int, int]]:
    with open_store(root) as store:
        targets = chosen_targets(store, Cohort("tiny", where))
    return {*zip(targets.prompt_id.tolist(), targets.target.tolist(), strict=True)}


ALL = {(i, at) for i, text in enumerate(TEXTS) for at in range(len(text))}


def test_no_condition_chooses_all(texts: Path) -> None:
    """Also one of spaces."""
    assert chosen(texts, "") == chosen(texts, "  ") == chosen(texts, "true") == ALL


def test_a_condition_may_ask_of_prompts_and_tokens(texts: Path) -> None:
    """Metadata, columns of every table, and a comment at its end."""
    assert chosen(texts, "metadata ->> '$.who' = 'Fox'") == {(0, i) for i in range(13)}
    assert chosen(texts, "category = 'x' and target = 2 -- hm") == {(1, 2)}
    assert chosen(texts, "token = '.' or is_special") == {
        (0, 0),
        (0, 2),
        (1, 3),
        (1, 5),
    }


def test_sentence_ends(texts: Path) -> None:
    """Behind . ! ? ... and quotes, before space or the end; not inside a number."""
    assert chosen(texts, "ends_sentence") == ENDS


def test_punctuation_is_what_a_delimiter_is_to_the_pipeline(texts: Path) -> None:
    """As `heads.on_delimiter` has it, token by token."""
    due = {(i, at) for i, at in ALL if is_delimiter(TEXTS[i][at])}
    assert {TEXTS[i][at] for i, at in due} >= {"...", "\n\n", "—", "”.", "\x0b."}
    assert chosen(texts, "is_punctuation") == due


def test_first_starting_and_repeated_tokens(texts: Path) -> None:
    """A start token is no word; a token repeats from its second time on."""
    assert chosen(texts, "is_first") == {(0, 0), (1, 0), (2, 0)}
    assert chosen(texts, "repeats") == {(0, 12), (1, 5), (1, 7), (2, 3)}
    starts = chosen(texts, "starts_word and prompt_id = 0")
    assert {TEXTS[0][at] for _, at in starts} == {"Mr", " Fox", " said", ' "', " Why"}


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("ends_sentenc", "no column 'ends_sentenc': did you mean ends_sentence"),
        ("category", "Could not convert string 'x' to BOOL"),
        ("true; drop table runs", "syntax error"),
        ("count(*) > 1", "WHERE clause cannot contain aggregates"),
        ("true) union all (select 'a', 'b'", "is not one condition on a target"),
    ],
)
def test_a_bad_condition_is_one_clear_error(
    texts: Path, where: str, said: str, trusted: bool
) -> None:
    """In a sandbox as without one."""
    with open_store(texts) as store, store.sandbox() as sandbox:
        with pytest.raises(StoreError, match=said.replace("(", r"\(")) as error:
            store.cohort_size(
                Cohort("tiny", where), sandbox=None if trusted else sandbox
            )
        assert "\n" not in str(error.value)


def test_a_reader_of_the_viewer_reads_nothing_but_the_store(texts: Path) -> None:
    """Another one's condition does not reach files."""
    where = "exists (from read_text('/etc/hostname'))"
    with open_store(texts) as store, store.sandbox() as sandbox:
        with pytest.raises(StoreError, match="refused"):
            store.cohort_size(Cohort("tiny", where), sandbox=sandbox)
        size = store.cohort_size(Cohort("tiny", "ends_sentence"), sandbox=sandbox)
    assert size == CohortSize(n_prompts=3, n_targets=len(ENDS))


def test_a_run_that_is_not_there_is_named(texts: Path) -> None:
    """With the one that was meant."""
    with open_store(texts) as store, pytest.raises(StoreError, match="mean tiny"):
        store.cohort_size(Cohort("tinny"))


def test_the_columns_of_the_helper(texts: Path) -> None:
    """One row a target, whatever windows it looks through."""
    query = "select count(*), count(distinct (prompt_id, target)) from cohort_targets"
    assert found(texts, query) == [(len(ALL), len(ALL))]


def in_routes(root: Path) -> None:
    """Heads 0.1 and 1.2 and the FFN of layer 0, at targets of prompts 3 and 5.

    Another run has other rows of the same prompts.
    """
    for run_id, factor in (("tiny", 1), ("other", 2)):
        write(
            root,
            make_plan(run_id, n_shards=1),
            prompts=[prompt(3), prompt(5), prompt(6)],
            targets=[target(3, 1), target(3, 2), target(5, 2), target(6, 0)],
            importance=[
                important(3, 0, 1, contribution=0.25 * factor, survives_at=0.04)
                | {"target": 1},
                important(3, 0, 1, contribution=0.5 * factor),
                important(5, 1, 2, contribution=0.125 * factor),
                important(5, 0, 0, component="ffn", contribution=1.0 * factor),
            ],
            logit_attribution=[
                {"prompt_id": 5, "target": 2, "token_id": 1, "layer": 1, "index": 2}
                | {"role": role, "component": component, "value": value * factor}
                for role, component, value in (
                    ("predicted", "head", -0.5),
                    ("answer", "head", 4.0),
                    ("predicted", "neuron", 8.0),
                )
            ],
        )


@pytest.mark.parametrize(
    ("measure", "due"),
    [
        ("contribution", {(0, 3): 1.0, (0, 6): 0.125, (1, 1): 0.75}),
        ("frequency", {(0, 3): 1.0, (0, 6): 1.0, (1, 1): 1.0}),
        ("logit", {(0, 6): -0.5}),
    ],
)
def test_prompts_add_up_what_their_targets_have(
    tmp_path: Path, measure: str, due: dict[tuple[int, int], float]
) -> None:
    """In the order asked for; of this run, this role, strictly above tau; else 0."""
    in_routes(tmp_path)
    with open_store(tmp_path) as store:
        of = prompt_sums(
            store,
            store.snapshot.runs["tiny"].plan,
            chosen_targets(store, Cohort("tiny")),
            measure=MEASURES[measure],
            tau=0.04,
            prompt_ids=np.array([5, 3]),
        )
    assert of.n_targets.tolist() == [1, 2]
    assert of.total.shape == (2, 2 * 4)
    rows, columns = np.nonzero(of.total)
    found = of.total[rows, columns].tolist()
    where = zip(rows.tolist(), columns.tolist(), strict=True)
    assert dict(zip(where, found, strict=True)) == due


def test_only_chosen_targets_add_up(tmp_path: Path) -> None:
    """One of the two targets of prompt 3."""
    in_routes(tmp_path)
    with open_store(tmp_path) as store:
        of = prompt_sums(
            store,
            store.snapshot.runs["tiny"].plan,
            Targets(np.array([3]), np.array([1])),
            measure=MEASURES["contribution"],
            tau=0.04,
            prompt_ids=np.array([3]),
        )
    assert (of.total[0, 1], of.total.sum(), of.n_all) == (0.25, 0.25, 1)
