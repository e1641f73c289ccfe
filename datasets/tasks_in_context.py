"""Tasks whose answer stands in the prompt: find it and copy it."""

from random import Random

from .prompt import Prompt
from .template import a, fill
from .words import COLOURS, NAMES, PLACES, SURNAMES, THINGS, WORDS


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
