"""Beside the graph of roles: the most frequent edges, one edge, or a state's edges."""

from typing import Any

from flowglass.store.aggregate_edge import RoleEdge, examples_of_edge, heads_of_edge
from flowglass.store.aggregate_routes import AggregateRoutes
from flowglass.store.store import Store

from .downloads import Extract
from .places import Attention, Place, State
from .prediction import Row
from .sections import Column, Note, Section, Table, Title
from .theme import show_whitespace
from .views import VIEWS

N_FREQUENT = 12
NUMBERS = (
    Column("Frequency", "percent", width="78px", hint="Share of the targets"),
    Column("Contrib.", "number", width="66px", hint="Mean where it is there"),
    Column("Targets", "number", digits=0, width="62px", hint="Where it could be"),
)
LAYER = Column("Layer", "number", digits=0, width="50px")
EDGE_COLUMNS = (LAYER, Column("From", "token"), Column("To", "token"), *NUMBERS)
INTO_COLUMNS = (Column("Kind", width="72px"), Column("From", "token"), *NUMBERS)
HEAD_COLUMNS = (
    Column("Head", "number", digits=0, width="50px"),
    Column("Routes", "number", digits=0, hint="That hold this head's edges"),
    *NUMBERS[:2],
)
EXAMPLE_COLUMNS = (
    Column("Prompt", "number", digits=0, width="58px"),
    Column("Head", "number", digits=0, width="50px"),
    Column("From", "token"),
    Column("To", "token"),
    Column("Contrib.", "number", width="66px"),
    Column("Predicted", "token"),
)
HERE = {
    "view": "",
    "selected": "",
    "dataset": "",
    "category": "",
    "tau": "",
    "least": "",
    "strongest": "",
    "layers": "",
    "positions": "",
}
"""What of this page's address does not belong to another place's."""

KIND_NAMES = {"attn": "attention", "ffn": "FFN", "resid": "residual"}


def role_sections(
    store: Store, graph: AggregateRoutes, place: Place | None, *, parallel: bool
) -> list[Section]:
    """What there is to say of what is chosen; of nothing, the most frequent edges."""
    if place is None:
        return frequent_sections(graph)
    roles = graph.roles["role"].to_pylist()
    columns = (
        [place.query, place.key] if isinstance(place, Attention) else [place.position]
    )
    if max(columns) >= len(roles):
        return [
            Title("Nothing to show", closes=True),
            Note("This graph has no such role.", "missing"),
        ]
    if isinstance(place, State):
        return state_sections(graph, place, roles[place.position], parallel=parallel)
    kind = "attn" if isinstance(place, Attention) else "ffn"
    edge = RoleEdge(
        place.layer,
        "block" if parallel else kind,
        kind,
        roles[columns[0]],
        roles[columns[-1]],
    )
    return edge_sections(store, graph, edge)


def frequent_sections(graph: AggregateRoutes) -> list[Section]:
    """The attention edges that most routes hold."""
    rows = [row for row in graph.edges.to_pylist() if row["kind"] == "attn"]
    rows.sort(key=lambda row: (-row["frequency"], -row["contribution"]))
    frequent = rows[:N_FREQUENT]
    return [
        Table(
            "Most frequent attention edges",
            EDGE_COLUMNS,
            [[row["layer"], *ends(row), *numbers(row)] for row in frequent],
            opens=[{"selected": name_of(graph, row)} for row in frequent],
            empty="No route holds an attention edge at this threshold.",
        ),
        Note("Click a row, or an edge, dot or square of the graph, to look into it."),
    ]


def state_sections(
    graph: AggregateRoutes, place: State, role: str, *, parallel: bool
) -> list[Section]:
    """The edges into a state of a role, whatever their frequency."""
    if place.state == "embed":
        title, step = "Embedding", ""
    elif parallel:
        title, step = f"Layer {place.layer} · after the block", "block"
    else:
        step = "attn" if place.state == "mid" else "ffn"
        after = {"attn": "attention", "ffn": "the FFN"}[step]
        title = f"Layer {place.layer} · after {after}"
    head = Title(title, [role], closes=True)
    if not step:
        return [head, Note("No edge leads into the embedding.")]
    rows = [
        row
        for row in graph.edges.to_pylist()
        if (row["layer"], row["step"], row["query_role"]) == (place.layer, step, role)
    ]
    rows.sort(key=lambda row: -row["frequency"])
    return [
        head,
        Table(
            "Edges into it",
            INTO_COLUMNS,
            [[KIND_NAMES[row["kind"]], row["key_role"], *numbers(row)] for row in rows],
            opens=[{"selected": name_of(graph, row)} for row in rows],
            empty="No route holds an edge into it at this threshold.",
        ),
    ]


def edge_sections(
    store: Store, graph: AggregateRoutes, edge: RoleEdge
) -> list[Section]:
    """How often an edge is there, the heads it stands for, and prompts that have it."""
    way = [edge.key_role, edge.query_role]
    head = Title(
        f"Layer {edge.layer} · {KIND_NAMES[edge.kind]}",
        way if edge.kind == "attn" else way[1:],
        closes=True,
    )
    row = next((r for r in graph.edges.to_pylist() if is_edge(r, edge)), None)
    if row is None:
        return [
            head,
            Note(f"No route holds it at threshold {graph.tau:g}.", "missing"),
        ]
    sections: list[Section] = [head, Note(said_of(row))]
    if edge.kind == "attn":
        sections.append(heads_table(store, graph, edge, row["n_targets"]))
    return [*sections, examples_table(store, graph, edge)]


def heads_table(
    store: Store, graph: AggregateRoutes, edge: RoleEdge, n_targets: int
) -> Table:
    """The heads; each opens its page."""
    found = heads_of_edge(store, graph.sample, edge, n_targets=n_targets, tau=graph.tau)
    rows = found.table.to_pylist()
    opens = [
        {**HERE, "view": "head", "layer": edge.layer, "head": row["head"]}
        for row in rows
    ]
    return Table(
        "Heads",
        HEAD_COLUMNS,
        [
            [row["head"], row["n_in_route"], row["frequency"], row["contribution"]]
            for row in rows
        ],
        Extract(f"layer-{edge.layer}-heads", found.table, found.sql),
        opens=opens if "head" in VIEWS else (),
    )


def examples_table(store: Store, graph: AggregateRoutes, edge: RoleEdge) -> Table:
    """Prompts; each opens its prediction at that target, with the edge chosen."""
    found = examples_of_edge(store, graph.sample, edge, tau=graph.tau)
    rows = found.table.to_pylist()
    return Table(
        "Prompts where it brings most",
        EXAMPLE_COLUMNS
        if edge.kind == "attn"
        else EXAMPLE_COLUMNS[:1] + EXAMPLE_COLUMNS[3:],
        [example_cells(row, edge.kind) for row in rows],
        Extract(f"layer-{edge.layer}-{edge.kind}-examples", found.table, found.sql),
        opens=[
            {
                **HERE,
                "prompt": row["prompt_id"],
                "target": row["target"],
                "threshold": graph.tau,
                "selected": selected_name(edge, row["query"], row["key"]),
                "head": row["head"],
            }
            for row in rows
        ],
    )


def example_cells(row: Row, kind: str) -> list[Any]:
    """A row of the examples; only attention has a head and a source."""
    cells = [
        f"{row['key']} {show_whitespace(row['key_token'])}",
        f"{row['query']} {show_whitespace(row['query_token'])}",
        row["contribution"],
        show_whitespace(row["predicted_token"]),
    ]
    of_head = [row["head"], cells[0]] if kind == "attn" else []
    return [row["prompt_id"], *of_head, *cells[1:]]


def said_of(row: Row) -> str:
    """The numbers of an edge as a sentence."""
    told = (
        f"In the routes of {row['n_in_route']:,} of {row['n_targets']:,} targets in "
        f"{row['n_prompts']:,} prompts where it could be: {row['frequency']:.0%} "
        f"({row['frequency_low']:.0%} to {row['frequency_high']:.0%}). There it brings "
        f"{row['contribution']:.3f} of the state it leads to"
    )
    if row["contribution_low"] is None:
        return f"{told}; of too few prompts for an interval."
    low, high = row["contribution_low"], row["contribution_high"]
    return f"{told} ({low:.3f} to {high:.3f})."


def is_edge(row: Row, edge: RoleEdge) -> bool:
    """Whether a row of the graph is this edge's."""
    return all(row[name] == value for name, value in vars(edge).items())


def ends(row: Row) -> list[str]:
    """From where, to where."""
    return [row["key_role"], row["query_role"]]


def numbers(row: Row) -> list[float]:
    """The last columns of the tables of edges."""
    return [row["frequency"], row["contribution"], row["n_targets"]]


def name_of(graph: AggregateRoutes, row: Row) -> str:
    """The name of an edge in the drawing, by the columns of its roles."""
    roles = graph.roles["role"].to_pylist()
    edge = RoleEdge(
        **{
            name: row[name]
            for name in ("layer", "step", "kind", "query_role", "key_role")
        }
    )
    return selected_name(
        edge, roles.index(row["query_role"]), roles.index(row["key_role"])
    )


def selected_name(edge: RoleEdge, query: int, key: int) -> str:
    """What `Selection.selected` calls an edge; a residual one by where it leads."""
    if edge.kind == "attn":
        return f"attn-{edge.layer}-{query}-{key}"
    if edge.kind == "ffn":
        return f"ffn-{edge.layer}-{query}"
    return f"{'mid' if edge.step == 'attn' else 'post'}-{edge.layer}-{query}"
