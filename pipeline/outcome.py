"""What a sweep says at its end, for people."""

from flowglass.store.certainty import ranking_certainty
from flowglass.store.certainty import said as certainty_said
from flowglass.store.store import open_store

from .sweeping import Run

TOP_HEADS = 20


def said(run: Run) -> str:
    """What was done, how sure the ranking of heads is if it is a part, what is next."""
    bad = f", {run.n_quarantined} quarantined" if run.n_quarantined else ""
    next_ = f"flowglass view {run.store}, or flowglass info {run.store}"
    if run.status == "complete":
        prompts, more = f"{run.n_prompts} prompts", ""
    else:
        share = (run.n_prompts + run.n_quarantined) / run.n_planned
        prompts = f"{run.n_prompts} of {run.n_planned} prompts ({share:.0%})"
        more = f"\n{ranking_said(run)}"
        next_ = f"the same command goes on; or {next_}"
    return (
        f"{run.run_id}: {prompts}, {run.n_tokens} tokens, stored in {run.store}{bad} "
        f"({run.seconds:.0f} s){more}\nnext: {next_}"
    )


def ranking_said(run: Run) -> str:
    """How sure the ranking of heads is that a part of a run gives."""
    with open_store(run.store) as store:
        plan = store.snapshot.runs[run.run_id].plan
        if plan.config.get("order") != "fair":
            return (
                "what is done is the beginning of the data and no fair sample of it: a "
                "new run with --budget would be one at any time"
            )
        # Of few heads the first ones only: that all of them stay says nothing.
        top = min(TOP_HEADS, max(1, plan.n_layers * plan.n_heads // 4))
        return certainty_said(ranking_certainty(store, run.run_id, top=top))
