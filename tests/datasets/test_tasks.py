"""The built-in prompts make sense, and training never sees a held-out one.

Every answer is worked out again from the text alone, for every prompt of its task.
"""

import re
from itertools import islice

import pytest

from flowglass.datasets.catalog import builtin_prompts
from flowglass.datasets.prompt import Prompt
from flowglass.datasets.tasks import TASKS, Split, is_held_out, sample, stream
from flowglass.datasets.tasks_from_memory import RELATIONS
from flowglass.datasets.words import COLOURS, COUNTRIES, DICTIONARY, NAMES, NOUNS

LANGUAGES = ["French", "Spanish", "German"]


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_ioi_asks_for_the_name_said_once() -> None:
    """The one said twice tempts."""
    for prompt in builtin_prompts("ioi"):
        named = [word for word in words_of(prompt.text) if word in NAMES]
        assert len(named) == 3
        assert named.count(prompt.answer or "") == 1
        assert named.count(prompt.distractor or "") == 2
        assert prompt.category == ("ABB" if named[1] == named[2] else "BAB")


def test_induction_asks_how_a_repeated_passage_goes_on() -> None:
    """Due is what followed the longest earlier copy of the text's end."""
    for prompt in builtin_prompts("induction"):
        words = words_of(prompt.text)
        followers = (
            words[i + length]
            for length in range(len(words) - 1, 0, -1)
            for i in range(len(words) - length)
            if words[i : i + length] == words[-length:]
        )
        assert next(followers) == prompt.answer != prompt.distractor
        assert prompt.distractor in words


def test_greater_than_asks_for_a_later_year() -> None:
    """Of the same century; an earlier one tempts."""
    for prompt in builtin_prompts("greater_than"):
        (start,) = re.findall(r"\d{4}", prompt.text)
        assert prompt.answer is not None
        assert prompt.distractor is not None
        assert prompt.answer > start > prompt.distractor
        assert prompt.answer[:2] == start[:2] == prompt.distractor[:2]
        assert prompt.category == f"{start[:2]}xx"


def test_agreement_asks_for_the_verb_in_the_first_nouns_number() -> None:
    """Whatever the number of the noun between."""
    number = {noun: i for pair in NOUNS for i, noun in enumerate(pair)}
    verbs = [("is", "are"), ("was", "were"), ("has", "have")]
    for prompt in builtin_prompts("agreement"):
        nouns = [word for word in words_of(prompt.text) if word in number]
        first, second = (number[noun] for noun in nouns)
        (pair,) = (pair for pair in verbs if prompt.answer in pair)
        assert (prompt.answer, prompt.distractor) == (pair[first], pair[1 - first])
        assert prompt.category == (
            f"{['singular', 'plural'][first]}, "
            f"{'same' if first == second else 'other'} number between"
        )


def test_facts_asks_for_what_the_table_says() -> None:
    """What it says of another country tempts."""
    for prompt in builtin_prompts("facts"):
        (country,) = (
            name for name in COUNTRIES if re.search(rf"\b{name}\b", prompt.text)
        )
        column = list(RELATIONS).index(prompt.category or "")
        assert prompt.answer == COUNTRIES[country][column] != prompt.distractor
        assert prompt.distractor in {row[column] for row in COUNTRIES.values()}


def test_translation_asks_for_the_dictionarys_other_word() -> None:
    """Into the language or back."""
    for prompt in builtin_prompts("translation"):
        direction, language = (prompt.category or "").split()
        column = LANGUAGES.index(language)
        pairs = {english: row[column] for english, row in DICTIONARY.items()}
        if direction == "from":
            pairs = {foreign: english for english, foreign in pairs.items()}
        assert language in prompt.text
        assert prompt.answer != prompt.distractor
        assert prompt.distractor in pairs.values()
        said = {word.lower() for word in words_of(prompt.text)}
        assert prompt.answer in {pairs[word] for word in pairs if word.lower() in said}


def test_colors_asks_for_the_colour_stated_of_the_thing() -> None:
    """Another colour that is stated tempts."""
    for prompt in builtin_prompts("colors"):
        *_, thing = words_of(prompt.text)
        stated = dict(re.findall(rf"the (\w+) ({'|'.join(COLOURS)})\b", prompt.text))
        assert prompt.answer == stated[thing] != prompt.distractor
        assert prompt.distractor in stated.values()
        assert prompt.category == f"{len(stated)} things"


def test_addition_asks_for_the_sum() -> None:
    """Another number tempts."""
    for prompt in builtin_prompts("addition"):
        x, y = map(int, re.findall(r"\d+", prompt.text))
        assert prompt.answer == str(x + y) != prompt.distractor
        assert (prompt.distractor or "").isdigit()
        assert prompt.category == ("carry" if x % 10 + y % 10 >= 10 else "no carry")


def test_sentences_ask_nothing() -> None:
    """They are whole sentences."""
    for prompt in builtin_prompts("sentences"):
        assert prompt.text.endswith(".")
        assert (prompt.answer, prompt.distractor) == (None, None)
        assert prompt.category == f"{prompt.text.count('.')} sentences"


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_its_test(task: str) -> None:
    """One above is called after it: nobody adds a task whose answers go unchecked."""
    assert any(name.startswith(f"test_{task}_ask") for name in globals())


@pytest.mark.parametrize("task", TASKS)
def test_prompts_are_tidy_and_distinct(task: str) -> None:
    """A capital or a digit first, single spaces, none at the ends, no text twice."""
    texts = [prompt.text for prompt in builtin_prompts(task)]

    assert len(set(texts)) == 500
    for text in texts:
        assert text == " ".join(text.split())
        assert text[0].isupper() or text[0].isdigit()


@pytest.mark.parametrize("task", TASKS)
def test_training_never_sees_a_held_out_prompt(task: str) -> None:
    """None of 20,000 training prompts is held out.

    Inside a longer one, as "Denmark lies in" is inside "It is true that Denmark lies
    in", at most 1 in 100 occurs.
    """
    held_out = {prompt.text for prompt in builtin_prompts(task)}
    training = list(islice(stream(task, "train", 1), 20_000))

    text = " " + " \n ".join(prompt.completed() for prompt in training) + " "
    inside = [prompt for prompt in held_out if f" {prompt} " in text]

    assert all(map(is_held_out, held_out))
    assert not any(is_held_out(prompt.text) for prompt in training)
    assert not held_out & {prompt.text for prompt in training}
    assert len(inside) <= len(held_out) / 100


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    """And another one for another seed."""
    assert sample("ioi", "train", 5, seed=1) == sample("ioi", "train", 5, seed=1)
    assert sample("ioi", "train", 5, seed=1) != sample("ioi", "train", 5, seed=2)


def test_no_more_is_sampled_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that runs dry says so instead of searching for ever."""
    monkeypatch.setitem(TASKS, "same", lambda rng: Prompt("Always the same"))
    split: Split = "held-out" if is_held_out("Always the same") else "train"

    with pytest.raises(
        ValueError, match=f"same has only about 1 {split} prompts, not 2"
    ):
        sample("same", split, 2)
