"""A template becomes a prompt's text, and what was filled in its metadata."""


def fill(template: str, **slots: str) -> tuple[str, dict[str, object]]:
    """The template's text, its first letter a capital, and the metadata to keep."""
    text = template.format(**slots)
    return text[0].upper() + text[1:], {"template": template, **slots}


def a(noun: str) -> str:
    """The noun with its article."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun
