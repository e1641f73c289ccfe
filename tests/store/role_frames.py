"""Routes in aggregate, counted one route at a time: what the store's SQL must equal."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from string import Formatter
from typing import Any

import numpy as np

from flowglass.store.aggregate_edge import RoleEdge
from flowglass.store.aggregate_routes import LEAST_PROMPTS
from flowglass.store.store import Store

EDGE = ["layer", "step", "kind", "query_role", "key_role"]
Row = dict[str, Any]
Z = 1.959963984540054


@dataclass(frozen=True)
class Counted:
    """The graph: its edges by `EDGE`, each with its numbers by column."""

    n_targets: int
    n_prompts: int
    edges: dict[tuple[Any, ...], Row]


@dataclass(frozen=True)
class Cohort:
    """Rows of a run, by prompt."""

    tokens: dict[int, list[Row]]
    targets: list[tuple[int, int]]
    routes: list[Row]
    slots: dict[int, list[tuple[str, int, int]]]

    def role(self, prompt_id: int, target: int, position: int) -> str:
        """Of a position, as position_roles.py says."""
        token = self.tokens[prompt_id][position]
        if position == target:
            return "target"
        for slot, start, end in self.slots[prompt_id]:
            if token["char_start"] is not None and (
                set(range(start, end))
                & set(range(token["char_start"], token["char_end"]))
            ):
                return slot
        if position == 0:
            return "first token"
        if target - position <= 4:
            return f"-{target - position}"
        bare = token["token"].rstrip().rstrip("\"')]\u201d\u2019")
        return "sentence end" if bare.endswith((".", "!", "?")) else "other"


def cohort_of(store: Store, run: str, dataset: str | None) -> Cohort:
    """All rows of a dataset's prompts, or of all prompts, then without slots."""
    kept = "" if dataset is None else f"AND dataset = '{dataset}'"
    prompts = rows(store, f"FROM prompts WHERE run_id = '{run}' {kept}")
    ids = {row["prompt_id"] for row in prompts}
    of_run = {
        name: [
            row
            for row in rows(store, f"FROM {name} WHERE run_id = '{run}' ORDER BY ALL")
            if row["prompt_id"] in ids
        ]
        for name in ("tokens", "targets", "routes")
    }
    tokens: dict[int, list[Row]] = defaultdict(list)
    for row in of_run["tokens"]:
        tokens[row["prompt_id"]].append(row)
    slots = {row["prompt_id"]: slots_of(row) if dataset else [] for row in prompts}
    n_having: dict[str, int] = defaultdict(int)
    for found in slots.values():
        for slot, _, _ in found:
            n_having[slot] += 1
    return Cohort(
        tokens,
        [(row["prompt_id"], row["target"]) for row in of_run["targets"]],
        of_run["routes"],
        {
            prompt_id: [s for s in found if n_having[s[0]] >= 0.1 * len(prompts)]
            for prompt_id, found in slots.items()
        },
    )


def rows(store: Store, query: str) -> list[Row]:
    found: list[Row] = store.table(query).to_pylist()
    return found


def slots_of(prompt: Row) -> list[tuple[str, int, int]]:
    """The slots of a prompt with the characters they were filled with."""
    said = json.loads(prompt["metadata"])
    found, text = [], ""
    n_times: dict[str, int] = defaultdict(int)
    for literal, name, _, _ in Formatter().parse(said.get("template", "")):
        text += literal
        if name is not None:
            filling = said[name]
            n_times[name] += 1
            nth = "" if n_times[name] == 1 else f" {n_times[name]}"
            start = len(text) + len(filling) - len(filling.lstrip())
            text += filling
            found.append((f"{{{name}}}{nth}", start, len(text.rstrip())))
    assert not found or text.lower() == prompt["text"].lower()
    return found


def graph_of(store: Store, run: str, dataset: str | None, tau: float) -> Counted:
    """The graph of all routes, target by target."""
    cohort = cohort_of(store, run, dataset)
    gets: dict[tuple[Any, ...], dict[tuple[int, int], dict[int, float]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(float))
    )
    for route, key in roled(cohort, tau):
        at = (route["prompt_id"], route["target"])
        gets[key][at][route["query"]] += route["contribution"]
    possible = {
        pair: [at for at in cohort.targets if could_be(cohort, at, *pair)]
        for pair in {key[3:] for key in gets}
    }
    edges = {}
    for key, by_target in gets.items():
        means = {at: float(np.mean([*by.values()])) for at, by in by_target.items()}
        edges[key] = measured(possible[key[3:]], means)
    prompts = {prompt_id for prompt_id, _ in cohort.targets}
    return Counted(len(cohort.targets), len(prompts), edges)


def roled(cohort: Cohort, tau: float) -> list[tuple[Row, tuple[Any, ...]]]:
    """Every route edge above tau, with the edge of the graph that stands for it."""
    found = []
    for row in cohort.routes:
        at = row["prompt_id"], row["target"]
        roles = [cohort.role(*at, row[end]) for end in ("query", "key")]
        if row["survives_at"] > tau:
            found.append((row, (row["layer"], row["step"], row["kind"], *roles)))
    return found


def could_be(cohort: Cohort, at: tuple[int, int], query: str, key: str) -> bool:
    """Whether a position of the key's role comes no later than one of the query's."""
    names = [cohort.role(*at, position) for position in range(at[1] + 1)]
    if query not in names or key not in names:
        return False
    return names.index(key) <= len(names) - 1 - names[::-1].index(query)


def measured(
    possible: list[tuple[int, int]], means: dict[tuple[int, int], float]
) -> Row:
    """The numbers of an edge; variances from what each prompt is off by."""
    there = np.array([at in means for at in possible], float)
    prompts, of = np.unique(
        [prompt_id for prompt_id, _ in possible], return_inverse=True
    )
    p, n = there.mean(), len(possible)
    off = np.bincount(of, there - p)
    m = len(prompts) if not off.any() else min(n, p * (1 - p) * n**2 / (off @ off))
    centre, half = (
        (p + Z**2 / (2 * m)),
        Z * np.sqrt(p * (1 - p) / m + (Z / (2 * m)) ** 2),
    )
    mean = float(np.mean([*means.values()]))
    brings = np.array([means.get(at, mean) - mean for at in possible])
    holding = len(set(of[there > 0].tolist()))
    off = np.bincount(of, brings)
    error = np.sqrt(off @ off * holding / max(1, holding - 1)) / len(means)
    enough = holding >= LEAST_PROMPTS
    return {
        "n_prompts": len(prompts),
        "n_targets": n,
        "n_in_route": len(means),
        "frequency": p,
        "frequency_low": (centre - half) / (1 + Z**2 / m),
        "frequency_high": (centre + half) / (1 + Z**2 / m),
        "contribution": mean,
        "contribution_low": mean - Z * error if enough else np.nan,
        "contribution_high": mean + Z * error if enough else np.nan,
    }


def heads(
    store: Store, run: str, dataset: str, tau: float, edge: RoleEdge
) -> dict[int, tuple[int, float]]:
    """In how many routes each head of an edge is, and what it brings there."""
    gets: dict[int, dict[tuple[int, int], dict[int, float]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(float))
    )
    for row, key in roled(cohort_of(store, run, dataset), tau):
        if key == tuple(vars(edge).values()):
            at = (row["prompt_id"], row["target"])
            gets[row["head"]][at][row["query"]] += row["contribution"]
    return {
        head: (
            len(by_target),
            float(np.mean([np.mean([*by.values()]) for by in by_target.values()])),
        )
        for head, by_target in gets.items()
    }


def examples(
    store: Store, run: str, dataset: str, tau: float, edge: RoleEdge
) -> list[tuple[Any, ...]]:
    """The strongest instance of an edge in each prompt, the strongest first."""
    cohort = cohort_of(store, run, dataset)
    found = [
        row for row, key in roled(cohort, tau) if key == tuple(vars(edge).values())
    ]
    found.sort(
        key=lambda r: (-r["contribution"], r["target"], r["head"], r["query"], r["key"])
    )
    best: dict[int, Row] = {}
    for row in found:
        best.setdefault(row["prompt_id"], row)
    strongest = sorted(
        best.values(), key=lambda r: (-r["contribution"], r["prompt_id"])
    )
    return [
        (
            row["prompt_id"],
            row["target"],
            row["head"],
            row["query"],
            row["key"],
            cohort.tokens[row["prompt_id"]][row["query"]]["token"],
            cohort.tokens[row["prompt_id"]][row["key"]]["token"],
            row["contribution"],
            row["survives_at"],
            predicted(store, run, row),
        )
        for row in strongest[:12]
    ]


def predicted(store: Store, run: str, row: Row) -> str:
    (found,) = rows(
        store,
        f"SELECT predicted_token FROM targets WHERE run_id = '{run}' AND "
        f"prompt_id = {row['prompt_id']} AND target = {row['target']}",
    )
    return str(found["predicted_token"])
