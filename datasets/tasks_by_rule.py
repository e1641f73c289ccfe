"""Tasks for a rule of grammar or arithmetic, and plain sentences, which ask nothing."""

from random import Random

from .prompt import Prompt
from .template import a, fill
from .words import ADJECTIVES, COLOURS, EVENTS, NAMES, NOUNS, PLACES, THINGS


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
