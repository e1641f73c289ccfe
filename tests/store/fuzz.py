"""Random statements out of DuckDB's own words, and a store's: the same for a seed."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb

from flowglass.store import TABLES
from flowglass.store.sql_helpers import HELPERS

from .attacks import ATTACKS

LITERALS = {
    "INTEGER": ["0", "1", "-1", "7", "2147483647", "-2147483648"],
    "BIGINT": ["0", "1", "-9223372036854775808", "9223372036854775807"],
    "DOUBLE": ["0.5", "-1e308", "'nan'::DOUBLE", "'inf'::DOUBLE", "1e-300"],
    "VARCHAR": [
        "''",
        "'a'",
        "'édith'",
        "'%'",
        "'{\"a\": [1]}'",
        "'/etc/passwd'",
        "$$;$$",
    ],
    "BOOLEAN": ["true", "false"],
    "DATE": ["DATE '2026-01-02'", "'-infinity'::DATE", "DATE '0044-03-15 (BC)'"],
    "TIMESTAMP": ["TIMESTAMP '1970-01-01'", "now()", "'infinity'::TIMESTAMP"],
    "INTERVAL": ["INTERVAL 1 DAY", "INTERVAL '-9' MONTH"],
    "BLOB": ["'\\xAA\\x00'::BLOB", "''::BLOB"],
    "ANY": ["NULL", "[]", "[1, NULL]", "{'a': 1}", "MAP {'a': [1]}", "'101'::BIT"],
}
VALUES = [value for values in LITERALS.values() for value in values]
SIGNS = [*"()[]{},.;:*+-/%<>=|&~^@#?$!'\"", "::", "->", "->>", "--", "/*", "*/", "$$"]
QUERIES = [
    "SELECT layer, count(*) FROM edges GROUP BY layer ORDER BY 2 DESC LIMIT 5",
    "SELECT e.*, t.token FROM edges e JOIN tokens t USING (run_id, prompt_id)",
    "WITH a AS (SELECT head, max(contribution) AS m FROM edges GROUP BY ALL) FROM a",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 9) FROM r"
    " LIMIT 3",
    "SELECT row_number() OVER (PARTITION BY layer ORDER BY head) AS n FROM heads "
    "QUALIFY n < 3",
    "SELECT * EXCLUDE (text), list_transform([1, 2], lambda x: x * n_tokens) "
    "FROM prompts",
    "SELECT CASE WHEN closure > 1e-6 THEN 'a' ELSE text END FROM prompts "
    "WHERE text ~ 'p'",
    "FROM runs UNION ALL BY NAME FROM runs EXCEPT SELECT * FROM runs",
    "PIVOT edges ON kind IN ('attn', 'resid') USING sum(contribution) GROUP BY layer",
    "SELECT unnest(datasets), config->>'$.identity' FROM runs",
    "SELECT * FROM edges TABLESAMPLE 10% ASOF JOIN steps USING (layer)",
    "SELECT (SELECT max(layer) FROM edges), EXISTS (FROM heads), 1 IN (SELECT 2)",
    "DESCRIBE SELECT * FROM activation_frequency(tau := 0.02)",
    "SUMMARIZE prompts",
    "EXPLAIN FROM edges WHERE layer = 0",
]
_TOKENS = re.compile(r"'[^']*'|\w+|\s+|.", re.DOTALL)


@dataclass(frozen=True)
class Words:
    """What statements are made of."""

    keywords: Sequence[str]
    functions: Sequence[tuple[str, Sequence[str]]]
    """Names of scalar functions and aggregates with the types they take."""
    table_functions: Sequence[str]
    names: Sequence[str]
    """Tables, helpers and columns."""


def words() -> Words:
    """Those of the DuckDB at hand."""
    with duckdb.connect() as connection:
        keywords = connection.execute("SELECT keyword_name FROM duckdb_keywords()")
        names = [name for (name,) in keywords.fetchall()]
        found = connection.execute(
            "SELECT DISTINCT function_name, parameter_types, function_type "
            "FROM duckdb_functions() ORDER BY ALL"
        ).fetchall()
    is_table = ("table", "table_macro", "pragma")
    return Words(
        keywords=sorted(names),
        functions=[
            (name, types) for name, types, kind in found if kind not in is_table
        ],
        table_functions=sorted({name for name, _, kind in found if kind in is_table}),
        names=[
            *TABLES,
            *HELPERS,
            *sorted({c.name for table in TABLES.values() for c in table.columns}),
        ],
    )


def statement(seed: int, known: Words) -> str:
    """The statement of a seed."""
    chance = random.Random(seed)
    makers: list[Callable[[random.Random, Words], str]] = [
        *[_calls] * 4,
        *[_mutant] * 2,
        *[_splice] * 2,
        _soup,
        _table_call,
    ]
    return chance.choice(makers)(chance, known)


def _soup(chance: random.Random, known: Words) -> str:
    """Words in any order; a SELECT to begin with, or nothing of the kind."""
    start = chance.choice(["SELECT", "FROM", "WITH x AS (", "EXPLAIN", ""])
    return " ".join(
        [start, *(_word(chance, known) for _ in range(chance.randint(1, 20)))]
    )


def _calls(chance: random.Random, known: Words) -> str:
    calls = ", ".join(_call(chance, known, 2) for _ in range(chance.randint(1, 3)))
    return f"SELECT {calls} FROM {chance.choice([*TABLES, 'runs'])} LIMIT 9"


def _call(chance: random.Random, known: Words, depth: int) -> str:
    name, types = chance.choice(known.functions)
    taken = list(types) if chance.random() < 0.8 else ["ANY"] * chance.randint(0, 4)
    arguments = []
    for type_ in taken:
        if depth and chance.random() < 0.2:
            arguments.append(_call(chance, known, depth - 1))
        elif chance.random() < 0.2:
            arguments.append(chance.choice(known.names))
        else:
            arguments.append(chance.choice(_values(str(type_))))
    if name.isidentifier():
        return f"{name}({', '.join(arguments)})"
    return f" {name} ".join(arguments or ["1", "2"])


def _values(type_: str) -> Sequence[str]:
    """Literals of a type, and of its kin; of any where it is none of these."""
    for name, values in LITERALS.items():
        if type_.startswith(name):
            return values
    if type_.endswith("[]"):
        return ["[]", "[NULL, NULL]", "[1, 2]", "['a', 'b', 'a']", "[[1]]", "[0.5]"]
    return LITERALS["INTEGER"] if "INT" in type_ else VALUES


def _table_call(chance: random.Random, known: Words) -> str:
    name = chance.choice([*known.table_functions, *HELPERS])
    arguments = [chance.choice(VALUES) for _ in range(chance.randint(0, 3))]
    return f"FROM {name}({', '.join(arguments)}) LIMIT 9"


def _mutant(chance: random.Random, known: Words) -> str:
    """A valid query, or an attack, with some of its tokens changed."""
    tokens = _TOKENS.findall(chance.choice([*QUERIES, *ATTACKS[:90]]))
    for _ in range(chance.randint(1, 2)):
        place = chance.randrange(len(tokens) + 1)
        change = chance.randrange(4)
        if change == 0:
            tokens.insert(place, f" {_word(chance, known)} ")
        elif change == 1:
            tokens[place : place + 1] = [_word(chance, known)]
        elif change == 2:
            del tokens[place : place + chance.randint(1, 3)]
        else:
            tokens[place:place] = tokens[place : place + chance.randint(1, 9)]
    return "".join(tokens)


def _splice(chance: random.Random, known: Words) -> str:
    """A query put into another: as a subquery, in WITH, in place of a name."""
    outer, inner = chance.choice(QUERIES), chance.choice([*QUERIES, *ATTACKS[:60]])
    shape = chance.choice(
        ["FROM ({1}) AS s, ({0}) AS t", "WITH z AS ({1}) {0}", "{0} {1}"]
    )
    if chance.random() < 0.5:
        return shape.format(outer, inner)
    name = chance.choice(["edges", "prompts", "runs", "heads"])
    return outer.replace(name, f"({inner})")


def _word(chance: random.Random, known: Words) -> str:
    functions = [name for name, _ in known.functions]
    kinds = [
        known.keywords,
        known.names,
        VALUES,
        SIGNS,
        functions,
        known.table_functions,
    ]
    return chance.choice(chance.choice(kinds))
