"""The words that queries may use, and the questions that one starts from."""

from pathlib import Path

from flowglass.store import open_store
from flowglass.store.questions import FILE, Question, about, questions
from flowglass.store.run import RunWriter
from flowglass.store.vocabulary import vocabulary

from .builders import make_plan


def test_the_vocabulary_is_what_a_store_shows(tmp_path: Path) -> None:
    """Every table and view, each with its columns and their types."""
    RunWriter(tmp_path, make_plan())
    with open_store(tmp_path) as store:
        shown: dict[str, list[tuple[str, str]]] = {}
        for table, column, type_ in store.sql(
            "select table_name, column_name, data_type from information_schema.columns "
            "order by table_name, ordinal_position"
        ).fetchall():
            shown.setdefault(table, []).append((column, type_))
    words = {
        source.name: [(word.name, word.type) for word in source.columns]
        for source in vocabulary()
        if "(" not in source.call
    }
    assert words == {name: shown[name] for name in shown if name != "helpers"}


def test_a_macro_has_its_columns_too() -> None:
    """With what they mean; its call says what it takes."""
    (macro,) = (s for s in vocabulary() if s.name == "head_prompts")
    assert macro.call == "head_prompts(at_layer, at_head, n := 20)"
    assert [word.name for word in macro.columns][:2] == ["run_id", "prompt_id"]
    assert all(word.doc for source in vocabulary() for word in source.columns)


def test_no_question_is_lost() -> None:
    """All that the file holds, whole."""
    text = FILE.read_text()
    assert len(questions()) == text.count("\n-- # ")
    assert [q.text for q in questions()] == [
        line.removeprefix("-- # ") for line in text.splitlines() if "-- # " in line
    ]
    assert all(q.text.endswith("?") and q.doc and q.sql for q in questions())
    assert not [q for q in questions() if ";" in q.sql or "-- " in q.sql + q.doc]


def test_a_question_is_asked_of_other_runs() -> None:
    """Both names at once, quoted; a run may have the name of an example's."""
    question = Question("?", "", "a = 'gpt2' and b = 'llama' and c = 'gpt2'")
    assert about(question, run="llama", other="it's") == (
        "a = 'llama' and b = 'it''s' and c = 'llama'"
    )
