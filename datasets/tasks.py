"""The built-in tasks: each draws one prompt at random, in readable English.

`sample(task, split, n, seed)` gives n distinct prompts. The hash of a prompt's text
alone says which split it is in, so no held-out prompt is ever drawn for training. (A
training prompt may end like one: "It is true that Denmark lies in".)
"""

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random
from typing import Literal

from .prompt import Prompt
from .words import (
    ADJECTIVES,
    COLOURS,
    COUNTRIES,
    DICTIONARY,
    EVENTS,
    NAMES,
    NOUNS,
    PLACES,
    SURNAMES,
    THINGS,
    WORDS,
)

Split = Literal["train", "held-out"]

HELD_OUT_SHARE = 1 / 8
OPENERS = (
    "",
    "As we know, ",
    "At school we learned that ",
    "My sister says that ",
    "The book says that ",
    "It is true that ",
    "In the end, ",
    "I read that ",
    "Everyone knows that ",
    "On the radio they said that ",
    "Remember: ",
    "Our teacher wrote that ",
)


def fill(template: str, **slots: str) -> tuple[str, dict[str, object]]:
    """The template's text, its first letter a capital, and the metadata to keep."""
    text = template.format(**slots)
    return text[0].upper() + text[1:], {"template": template, **slots}


def a(noun: str) -> str:
    """The noun with its article."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def ioi(rng: Random) -> Prompt:
    """Indirect object identification (Wang et al. 2022, arXiv 2211.00593)."""
    template = rng.choice(
        [
            "when {a} and {b} went to the {place}, {s} gave {thing} to",
            "after {a} and {b} left the {place}, {s} showed {thing} to",
            "while {a} and {b} were at the {place}, {s} brought {thing} to",
            "{a} and {b} met at the {place}. Then {s} handed {thing} to",
            "{a} and {b} walked to the {place}, and {s} sold {thing} to",
            "one day {a} and {b} found {thing} near the {place}. {s} offered it to",
        ]
    )
    first, second = rng.sample(NAMES, 2)
    order = rng.choice(["ABB", "BAB"])
    subject, answer = (second, first) if order == "ABB" else (first, second)
    text, slots = fill(
        template,
        a=first,
        b=second,
        s=subject,
        place=rng.choice(PLACES),
        thing=a(rng.choice(THINGS)),
    )
    return Prompt(text, order, answer, subject, slots)


def induction(rng: Random) -> Prompt:
    """A passage comes twice; the second time it breaks off (Olsson et al. 2022)."""
    kind = rng.choice(["words", "shopping", "surname"])
    if kind == "surname":
        (n1, n2, n3), (s1, s2, s3) = rng.sample(NAMES, 3), rng.sample(SURNAMES, 3)
        text, slots = fill(
            "{n1} {s1}, {n2} {s2} and {n3} {s3} came to the {place}. We sat beside {n}",
            **dict(n1=n1, n2=n2, n3=n3, s1=s1, s2=s2, s3=s3, n=n2),
            place=rng.choice(PLACES),
        )
        return Prompt(text, kind, s2, s1, slots)
    if kind == "shopping":
        x, y, z = rng.sample(THINGS, 3)
        one, two = rng.sample(NAMES, 2)
        text, slots = fill(
            "{one} bought {x}, {y} and {z}. {two} also bought {x}, {y} and {article}",
            **dict(one=one, two=two, x=a(x), y=a(y), z=a(z)),
            article=a(z).split()[0],
        )
        return Prompt(text, kind, z, x, slots)
    words = rng.sample(WORDS, rng.randint(5, 8))
    stop = rng.randint(2, len(words) - 1)
    text, slots = fill(
        "the list says {words}. Again, the list says {again}",
        words=" ".join(words),
        again=" ".join(words[:stop]),
    )
    slots["rest"] = words[stop + 1 :]
    return Prompt(text, kind, words[stop], words[stop - 2], slots)


def greater_than(rng: Random) -> Prompt:
    """An end year must be later than the start year (Hanna et al. 2023)."""
    event = rng.choice(EVENTS)
    template = rng.choice(
        [
            "the {event} lasted from the year {start} to the year",
            "the {event} in the {place} began in {start} and ended in",
            "{name} saw the {event} that went on from {start} to",
        ]
    )
    century, start = rng.randint(11, 19), rng.randint(2, 97)
    text, slots = fill(
        template,
        event=event,
        place=rng.choice(PLACES),
        name=rng.choice(NAMES),
        start=f"{century}{start:02}",
    )
    answer = f"{century}{rng.randint(start + 1, 99):02}"
    distractor = f"{century}{rng.randint(0, start - 1):02}"
    return Prompt(text, f"{century}xx", answer, distractor, slots)


def agreement(rng: Random) -> Prompt:
    """Subject and verb agree in number past a distracting noun (Linzen et al. 2016)."""
    opener, verbs = rng.choice(
        [
            ("", ("is", "are")),
            ("today, ", ("is", "are")),
            ("yesterday, ", ("was", "were")),
            ("long ago, ", ("was", "were")),
            ("since Monday, ", ("has", "have")),
        ]
    )
    template = rng.choice(
        [
            "{opener}the {adjective} {subject} {near} the {other}",
            "{opener}the {subject} {near} the {adjective} {other}",
            "{opener}the {subject} that {name} saw {near} the {other}",
        ]
    )
    subject, other = rng.sample(NOUNS, 2)
    plural, other_plural = rng.randrange(2), rng.randrange(2)
    text, slots = fill(
        template,
        opener=opener,
        adjective=rng.choice(ADJECTIVES),
        subject=subject[plural],
        near=rng.choice(["near", "behind", "next to", "in front of"]),
        other=other[other_plural],
        name=rng.choice(NAMES),
    )
    number = "plural" if plural else "singular"
    between = "same" if plural == other_plural else "other"
    category = f"{number}, {between} number between"
    return Prompt(text, category, verbs[plural], verbs[1 - plural], slots)


RELATIONS = {
    "capital": [
        "the capital of {country} is",
        "the capital city of {country} is called",
        "the seat of the government of {country} is",
        "the largest embassy in {country} is found in",
        "whoever travels to {country} should visit its capital,",
    ],
    "language": [
        "the language of {country} is",
        "the people of {country} speak",
        "the newspapers in {country} are printed in",
        "most children in {country} learn to read",
        "in the schools of {country} the children write",
    ],
    "continent": [
        "{country} lies in",
        "{country} is a country in",
        "the rivers of {country} flow through",
        "the name of the continent around {country} is",
        "the map shows {country} in the middle of",
    ],
    "currency": [
        "the money of {country} is the",
        "in {country} people pay with the",
        "the coin used in {country} is the",
        "every shop in {country} accepts the",
        "the currency of {country} is called the",
    ],
}


def facts(rng: Random) -> Prompt:
    """What the weights remember: capitals, languages, continents, currencies."""
    column, relation = rng.choice(list(enumerate(RELATIONS)))
    country, other = rng.sample(list(COUNTRIES), 2)
    while COUNTRIES[other][column] == COUNTRIES[country][column]:
        other = rng.choice(list(COUNTRIES))
    template = "{opener}" + rng.choice(RELATIONS[relation])
    text, slots = fill(template, opener=rng.choice(OPENERS), country=country)
    slots["relation"] = relation
    answer, distractor = COUNTRIES[country][column], COUNTRIES[other][column]
    return Prompt(text, relation, answer, distractor, slots)


def translation(rng: Random) -> Prompt:
    """A dictionary in both directions: French, Spanish, German."""
    column, language = rng.choice(list(enumerate(["French", "Spanish", "German"])))
    word, other = rng.sample(list(DICTIONARY), 2)
    foreign, other_foreign = DICTIONARY[word][column], DICTIONARY[other][column]
    if rng.random() < 0.5:
        template = rng.choice(
            [
                "the {language} word for {word} is",
                "in {language}, {word} is called",
                "{word} in {language} is",
            ]
        )
        category, answer, distractor = f"to {language}", foreign, other_foreign
        text, slots = fill(
            "{opener}" + template,
            opener=rng.choice(OPENERS),
            language=language,
            word=word,
        )
    else:
        template = rng.choice(
            [
                "the {language} word {word} means",
                "the English word for the {language} {word} is",
                "the {language} {word} in English is",
            ]
        )
        category, answer, distractor = f"from {language}", word, other
        text, slots = fill(
            "{opener}" + template,
            opener=rng.choice(OPENERS),
            language=language,
            word=foreign,
        )
    return Prompt(text, category, answer, distractor, slots)


def colors(rng: Random) -> Prompt:
    """Which colour belongs to which thing: binding within one prompt."""
    count = rng.choice([2, 3, 4])
    things, colours = rng.sample(THINGS, count), rng.sample(COLOURS, count)
    asked = rng.randrange(count)
    of = dict(zip(things, colours, strict=True))
    *first, last = (f"the {thing} {colour}" for thing, colour in of.items())
    template = rng.choice(
        [
            "{name} painted {stated}. I saw that {name} painted the {thing}",
            "{name} coloured {stated}, and then {other} also coloured the {thing}",
            "they dyed {stated}. {name} asked why they dyed the {thing}",
        ]
    )
    name, other = rng.sample(NAMES, 2)
    stated = f"{', '.join(first)} and {last}"
    text, slots = fill(
        template, stated=stated, thing=things[asked], name=name, other=other
    )
    slots["colours"] = of
    return Prompt(text, f"{count} things", colours[asked], colours[asked - 1], slots)


def addition(rng: Random) -> Prompt:
    """Two-digit sums."""
    x, y = rng.randint(10, 99), rng.randint(10, 99)
    template = rng.choice(
        ["{x} + {y} =", "{x} plus {y} equals", "the sum of {x} and {y} is"]
    )
    text, slots = fill(template, x=str(x), y=str(y))
    wrong = x + y + rng.choice([-10, -1, 1, 10])
    category = "carry" if x % 10 + y % 10 > 9 else "no carry"
    return Prompt(text, category, str(x + y), str(wrong), slots)


def sentences(rng: Random) -> Prompt:
    """A few plain sentences: what do full stops do?"""
    (hero, friend), place = rng.sample(NAMES, 2), rng.choice(PLACES)
    noun, plural = rng.choice(NOUNS)
    thing, other = rng.sample(THINGS, 2)
    adjective, second = rng.sample(ADJECTIVES, 2)
    colour = rng.choice(COLOURS)
    lines = [
        f"{hero} lived near the {adjective} {place}.",
        f"It was a {rng.choice(['cold', 'bright', 'quiet', 'strange'])} morning.",
        f"The {noun} looked {adjective} and {second}.",
        f"{friend} carried {a(thing)} and {a(other)}.",
        f"All the {plural} were waiting at the {place}.",
        f"Nobody had seen the {colour} {thing}.",
        f"Then {hero} and {friend} went home.",
        f"The {other} was {colour}, and the {thing} was {second}.",
        f"{friend} liked the {adjective} {noun}.",
        f"There was {a(other)} in the {place}.",
    ]
    count = rng.randint(2, 5)
    text = " ".join(rng.sample(lines, count))
    return Prompt(text, f"{count} sentences", metadata={"hero": hero, "friend": friend})


TASKS: dict[str, Callable[[Random], Prompt]] = {
    task.__name__: task
    for task in (
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


def is_held_out(text: str) -> bool:
    """Whether the text belongs to the held-out split; a fixed eighth of all texts."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def stream(task: str, split: Split, seed: int) -> Iterator[Prompt]:
    """Endless prompts of one task and split, the same for the same seed."""
    rng = Random(f"{task} {split} {seed}")
    while True:
        prompt = TASKS[task](rng)
        if is_held_out(prompt.text) == (split == "held-out"):
            yield prompt


def sample(task: str, split: Split, n: int, seed: int = 0) -> list[Prompt]:
    """n distinct prompts of one task and split."""
    found: dict[str, Prompt] = {}
    for prompt in islice(stream(task, split, seed), 100 * n):
        found.setdefault(prompt.text, prompt)
        if len(found) == n:
            return list(found.values())
    raise ValueError(f"{task} has only about {len(found)} {split} prompts, not {n}")
