"""Importance: how much each head and FFN brings to a target's route."""

from dataclasses import dataclass

import numpy as np

from .routes import Floats, Ints
from .schema import COMPONENTS, KINDS


@dataclass(frozen=True)
class Importance:
    """Components in a route as parallel arrays, by target, layer, component, index."""

    target: Ints
    layer: Ints
    component: Ints
    """Places in `schema.COMPONENTS`."""
    index: Ints
    contribution: Floats
    survives_at: Floats


def importance(
    *,
    target: Ints,
    layer: Ints,
    kind: Ints,
    head: Ints,
    contribution: Floats,
    survives_at: Floats,
) -> Importance:
    """Per (target, layer, head or FFN): its route edges' sum and widest edge.

    Takes the edges of routes as parallel arrays, `kind` as places in `schema.KINDS`;
    `head` is read for attention edges only. `target` is any number that tells targets
    apart.
    A head with two edges and the FFN of one target; the residual is no component:

    >>> rows = importance(
    ...     target=np.array([2, 2, 2, 2]),
    ...     layer=np.array([0, 0, 0, 0]),
    ...     kind=np.array([0, 0, 2, 1]),
    ...     head=np.array([3, 3, 0, 0]),
    ...     contribution=np.array([0.25, 0.125, 0.5, 0.5]),
    ...     survives_at=np.array([0.25, 0.125, 0.5, 0.5]),
    ... )
    >>> rows.index.tolist(), rows.contribution.tolist(), rows.survives_at.tolist()
    ([3, 0], [0.375, 0.5], [0.25, 0.5])
    """
    of_component = kind != KINDS.index("resid")
    is_head = kind[of_component] == KINDS.index("attn")
    component = np.where(is_head, COMPONENTS.index("head"), COMPONENTS.index("ffn"))
    index = np.where(is_head, head[of_component], 0)
    keys = np.stack([target[of_component], layer[of_component], component, index])
    order = np.lexsort(keys[::-1])
    keys = keys[:, order]
    changes = (np.diff(keys, axis=1) != 0).any(axis=0)
    first = np.flatnonzero(np.concatenate([[len(order) > 0], changes]))
    target, layer, component, index = keys[:, first]
    return Importance(
        target=target,
        layer=layer,
        component=component,
        index=index,
        contribution=np.add.reduceat(contribution[of_component][order], first),
        survives_at=np.maximum.reduceat(survives_at[of_component][order], first),
    )
