"""One edge of an aggregate graph: the heads it stands for, and prompts that have it."""

from dataclasses import asdict, dataclass

from .aggregate_routes import HELD, ROLED, check_tau
from .answer import Answer
from .route_sample import RouteSample, ask
from .schema import DEFAULT_TAU
from .store import Store

OF_EDGE = """
    of_edge AS (
        FROM held
        WHERE layer = $layer AND step = $step AND kind = $kind
          AND query_role = $query_role AND key_role = $key_role
    )
"""

HEADS = """
    by_position AS (
        SELECT prompt_id, target, head, query, sum(contribution) AS contribution
        FROM of_edge GROUP BY ALL
    ),
    by_target AS (
        SELECT prompt_id, target, head, avg(contribution) AS contribution
        FROM by_position GROUP BY ALL
    )
    SELECT head, count(*) AS n_in_route, count(*) / $n_targets AS frequency,
           avg(contribution) AS contribution
    FROM by_target GROUP BY head ORDER BY frequency DESC, contribution DESC, head
"""

EXAMPLES = """
    strongest AS (
        FROM of_edge QUALIFY row_number() OVER (
            PARTITION BY prompt_id ORDER BY contribution DESC, target, head, query, key
        ) = 1
        ORDER BY contribution DESC, prompt_id LIMIT $limit
    )
    SELECT prompt_id, target, head, query, key, query_token, key_token, contribution,
           survives_at, predicted_token
    FROM strongest JOIN {targets} USING (prompt_id, target)
    ORDER BY contribution DESC, prompt_id
"""


@dataclass(frozen=True)
class RoleEdge:
    """Which edge: as a row of `AggregateRoutes.edges` names it."""

    layer: int
    step: str
    kind: str
    query_role: str
    key_role: str


def heads_of_edge(
    store: Store,
    sample: RouteSample,
    edge: RoleEdge,
    *,
    n_targets: int,
    tau: float = DEFAULT_TAU,
) -> Answer:
    """How often each head is what the edge stands for, and what it brings then.

    A row for each head: head, n_in_route, frequency (of the `n_targets` at which the
    edge could be), contribution (as of the edge, but of this head alone).
    """
    check_tau(store, sample.run_id, tau)
    values = {**asdict(edge), "tau": tau, "n_targets": n_targets}
    return ask(store, sample, f"{ROLED}, {HELD}, {OF_EDGE}, {HEADS}", **values)


def examples_of_edge(
    store: Store,
    sample: RouteSample,
    edge: RoleEdge,
    *,
    tau: float = DEFAULT_TAU,
    limit: int = 12,
) -> Answer:
    """The prompts in which the edge brings most, one strongest instance of each.

    A row for each prompt: prompt_id, target, head (null unless attn), query, key,
    query_token, key_token, contribution, survives_at, predicted_token.
    """
    check_tau(store, sample.run_id, tau)
    values = {**asdict(edge), "tau": tau, "limit": limit}
    return ask(store, sample, f"{ROLED}, {HELD}, {OF_EDGE}, {EXAMPLES}", **values)
