"""The built-in prompts make sense, and training never sees a held-out one."""

import re
from collections.abc import Callable
from itertools import islice

import pytest

from flowglass.datasets.catalog import builtin_prompts
from flowglass.datasets.prompt import Prompt
from flowglass.datasets.tasks import (
    RELATIONS,
    TASKS,
    Split,
    is_held_out,
    sample,
    stream,
)
from flowglass.datasets.words import COLOURS, COUNTRIES, DICTIONARY, NAMES, NOUNS

LANGUAGES = ["French", "Spanish", "German"]


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def ioi(prompt: Prompt) -> None:
    """Two names: the one said once is due, the one said twice tempts."""
    named = [word for word in words_of(prompt.text) if word in NAMES]
    assert len(named) == 3
    assert named.count(prompt.answer or "") == 1
    assert named.count(prompt.distractor or "") == 2
    assert prompt.category == ("ABB" if named[1] == named[2] else "BAB")


def induction(prompt: Prompt) -> None:
    """What followed the longest earlier copy of the text's end is due."""
    words = words_of(prompt.text)
    followers = (
        words[i + length]
        for length in range(len(words) - 1, 0, -1)
        for i in range(len(words) - length)
        if words[i : i + length] == words[-length:]
    )
    assert next(followers) == prompt.answer != prompt.distractor
    assert prompt.distractor in words


def greater_than(prompt: Prompt) -> None:
    """Due is a later year of the century, tempting an earlier one."""
    (start,) = re.findall(r"\d{4}", prompt.text)
    assert prompt.answer is not None
    assert prompt.distractor is not None
    assert prompt.answer > start > prompt.distractor
    assert prompt.answer[:2] == start[:2] == prompt.distractor[:2]
    assert prompt.category == f"{start[:2]}xx"


def agreement(prompt: Prompt) -> None:
    """Due is the verb in the first noun's number."""
    number = {noun: i for pair in NOUNS for i, noun in enumerate(pair)}
    first, second = (number[word] for word in words_of(prompt.text) if word in number)
    verbs = [("is", "are"), ("was", "were"), ("has", "have")]
    (pair,) = (pair for pair in verbs if prompt.answer in pair)
    assert (prompt.answer, prompt.distractor) == (pair[first], pair[1 - first])
    assert prompt.category == (
        f"{['singular', 'plural'][first]}, "
        f"{'same' if first == second else 'other'} number between"
    )


def facts(prompt: Prompt) -> None:
    """Due is what the table says, tempting what it says of another country."""
    (country,) = (name for name in COUNTRIES if re.search(rf"\b{name}\b", prompt.text))
    column = list(RELATIONS).index(prompt.category or "")
    assert prompt.answer == COUNTRIES[country][column] != prompt.distractor
    assert prompt.distractor in {row[column] for row in COUNTRIES.values()}


def translation(prompt: Prompt) -> None:
    """Due is the dictionary's other word."""
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


def colors(prompt: Prompt) -> None:
    """Due is the colour stated of the thing, tempting another that is stated."""
    *_, thing = words_of(prompt.text)
    stated = dict(re.findall(rf"the (\w+) ({'|'.join(COLOURS)})\b", prompt.text))
    assert prompt.answer == stated[thing] != prompt.distractor
    assert prompt.distractor in stated.values()
    assert prompt.category == f"{len(stated)} things"


def addition(prompt: Prompt) -> None:
    """Due is the sum, tempting another number."""
    x, y = map(int, re.findall(r"\d+", prompt.text))
    assert prompt.answer == str(x + y) != prompt.distractor
    assert (prompt.distractor or "").isdigit()
    assert prompt.category == ("carry" if x % 10 + y % 10 >= 10 else "no carry")


def sentences(prompt: Prompt) -> None:
    """Whole sentences, nothing due."""
    assert prompt.text.endswith(".")
    assert (prompt.answer, prompt.distractor) == (None, None)
    assert prompt.category == f"{prompt.text.count('.')} sentences"


SENSE: dict[str, Callable[[Prompt], None]] = {
    sense.__name__: sense
    for sense in (
        ioi,
        induction,
        greater_than,
        agreement,
        facts,
        translation,
        colors,
        addition,
        sentences,
    )
}


@pytest.mark.parametrize("task", TASKS)
def test_answers_are_right_and_distractors_wrong(task: str) -> None:
    """Worked out again from the text alone, for every built-in prompt."""
    for prompt in builtin_prompts(task):
        SENSE[task](prompt)


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
