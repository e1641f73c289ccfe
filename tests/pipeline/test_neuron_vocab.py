"""`neuron_vocab` is written once per model, layer by layer, whatever interrupts it."""

from pathlib import Path

import pyarrow as pa
import pytest

from flowglass.pipeline import neuron_vocab, sweep, trace
from flowglass.pipeline.progress import Silent
from flowglass.store import open_store

from .tiny_models import VOCAB, tiny_gpt2

MODEL, N_LAYERS = "tiny-llama", 4
KEY = ["layer", "neuron", "sign", "rank"]


class Interrupting(Silent):
    """Raises KeyboardInterrupt once some layers of `neuron_vocab` are done."""

    def __init__(self, after: int) -> None:
        self.layers_left = after
        self.counts_layers = False

    def begin(
        self, title: str, *, total: int, done: int, unit: str = "prompts"
    ) -> None:
        self.counts_layers = unit == "layers"

    def advance(self, units: int, *, tokens: int = 0, quarantined: int = 0) -> None:
        if self.counts_layers:
            self.layers_left -= units
            if self.layers_left == 0:
                raise KeyboardInterrupt


def stored(store: Path) -> pa.Table:
    """The table's rows without the model's hash, in the order of their key."""
    with open_store(store) as opened:
        rows = opened.table("select * exclude (model_hash) from neuron_vocab")
    return rows.sort_by([(name, "ascending") for name in KEY])


def files(store: Path) -> dict[Path, int]:
    """Every file of every model, and when it was written."""
    return {
        path: path.stat().st_mtime_ns
        for path in (store / "models").rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one prompt of one model."""
    store = tmp_path_factory.mktemp("store")
    sweep(model=MODEL, data="facts", store=store, limit=1)
    return store


def test_a_sweep_stores_what_a_trace_says(swept: Path) -> None:
    """Every neuron's rows, whatever the prompt."""
    expected = trace(MODEL, "Anything at all").neuron_vocab

    rows = stored(swept)

    in_order = expected.sort_by([(name, "ascending") for name in KEY])
    assert rows.num_rows == N_LAYERS * 352 * 2 * 10
    for name in (*KEY, "token_id", "token", "score"):
        assert rows[name].to_pylist() == in_order[name].to_pylist(), name


def test_rows_carry_the_models_hash(swept: Path) -> None:
    """`neuron_vocab` is joined to runs by the model's hash."""
    with open_store(swept) as store:
        found = store.sql(
            "select distinct model_hash, runs.model "
            "from neuron_vocab left join runs using (model_hash)"
        ).fetchall()
    assert [model for _, model in found] == [MODEL]


def test_the_same_model_adds_nothing(swept: Path) -> None:
    """Another run of the model, on other data, finds its neurons done."""
    before = files(swept)
    assert before

    sweep(model=MODEL, data="ioi", store=swept, limit=1)

    assert files(swept) == before


def test_another_model_has_rows_of_its_own(tmp_path: Path) -> None:
    """Two models in one store: the rows of both, told apart by the hash."""
    for model in (MODEL, "tiny-gpt2"):
        sweep(model=model, data="facts", store=tmp_path, limit=1)

    with open_store(tmp_path) as store:
        counts = store.sql(
            "select model, count(*) from neuron_vocab "
            "join runs using (model_hash) group by model"
        ).fetchall()
    assert dict(counts) == {MODEL: 4 * 352 * 2 * 10, "tiny-gpt2": 4 * 512 * 2 * 10}


@pytest.mark.parametrize("after", [1, 3])
def test_interrupted_and_resumed_is_as_if_undisturbed(
    tmp_path: Path, after: int
) -> None:
    """Layers that were committed stay as they are; the others follow, none twice."""
    with pytest.raises(KeyboardInterrupt):
        sweep(
            model=MODEL,
            data="facts",
            store=tmp_path / "interrupted",
            limit=1,
            reporter=Interrupting(after),
        )
    kept = files(tmp_path / "interrupted")
    assert set(stored(tmp_path / "interrupted")["layer"].to_pylist()) == set(
        range(after)
    )

    sweep(model=MODEL, data="facts", store=tmp_path / "interrupted", limit=1)

    sweep(model=MODEL, data="facts", store=tmp_path / "undisturbed", limit=1)
    assert stored(tmp_path / "interrupted") == stored(tmp_path / "undisturbed")
    assert kept.items() <= files(tmp_path / "interrupted").items()


@pytest.mark.parametrize("at_once", [1, 5, 7 * VOCAB, 10**6])
def test_chunks_of_the_vocabulary_change_nothing(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """However little of the vocabulary passes by at once, the same tokens lead."""
    whole = trace(tiny_gpt2(), (1, 2, 3)).neuron_vocab
    monkeypatch.setattr(neuron_vocab, "logits_at_once", lambda _: at_once)

    in_chunks = trace(tiny_gpt2(), (1, 2, 3)).neuron_vocab

    assert in_chunks["token_id"] == whole["token_id"]
    assert in_chunks["score"].to_pylist() == pytest.approx(
        whole["score"].to_pylist(), abs=1e-5
    )
