"""Tasks whose answer only the weights can know: facts and a dictionary."""

from random import Random

from .prompt import Prompt
from .template import fill
from .words import COUNTRIES, DICTIONARY

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

FROM_ENGLISH = [
    "the {language} word for {word} is",
    "in {language}, {word} is called",
    "{word} in {language} is",
]
TO_ENGLISH = [
    "the {language} word {word} means",
    "the English word for the {language} {word} is",
    "the {language} {word} in English is",
]


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
        templates, category = FROM_ENGLISH, f"to {language}"
        said, answer, distractor = word, foreign, other_foreign
    else:
        templates, category = TO_ENGLISH, f"from {language}"
        said, answer, distractor = foreign, word, other
    template = "{opener}" + rng.choice(templates)
    opener = rng.choice(OPENERS)
    text, slots = fill(template, opener=opener, language=language, word=said)
    return Prompt(text, category, answer, distractor, slots)
