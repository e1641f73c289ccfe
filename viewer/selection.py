"""The one Selection: what the session looks at, and the query string that says so."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import param

from flowglass.store.rollup import TAUS
from flowglass.store.schema import DEFAULT_TAU

MIN_THRESHOLD = 0.01
MAX_THRESHOLD = 0.2
DEFAULT_THRESHOLD = 0.04


class Selection(param.Parameterized):
    """What is looked at. Panels read it and write it, and never each other.

    A `view` is shown if one is chosen, else the prediction if a prompt is, else the
    list of prompts.
    Every parameter is a key of the address's query string unless it has its default.
    """

    run = param.String("", doc="Run id; empty: the newest run.")
    view = param.String(
        "", regex=r"\A[a-z]*\Z", doc="A page of `views.VIEWS`; empty: the prompts."
    )
    prompt = param.Integer(None, bounds=(0, None), doc="prompt_id.")
    target = param.Integer(
        None, bounds=(0, None), doc="Target position; none: the prompt's stored target."
    )
    threshold = param.Number(
        DEFAULT_THRESHOLD,
        bounds=(MIN_THRESHOLD, MAX_THRESHOLD),
        doc="The route holds the edges with survives_at above it.",
    )
    selected = param.String(
        "",
        regex=r"\A(attn-\d+-\d+-\d+|ffn-\d+-\d+|(mid|post)-\d+-\d+|embed-\d+)?\Z",
        doc="What is chosen in the graph: attn-LAYER-QUERY-KEY, ffn-LAYER-POSITION, a "
        "state mid- or post-LAYER-POSITION, or embed-POSITION.",
    )
    head = param.Integer(None, bounds=(0, None), doc="Head of the chosen attention.")
    neuron = param.Integer(None, bounds=(0, None), doc="Neuron of the chosen FFN.")
    renormalise = param.Boolean(
        False, doc="Widths by the share among what survives, not by contribution."
    )
    strongest = param.Integer(
        None, bounds=(1, None), doc="Most edges drawn; none: all above the threshold."
    )
    layers = param.String(
        "", regex=r"\A(\d+-\d+)?\Z", doc="First and last layer drawn; empty: all."
    )
    positions = param.String(
        "", regex=r"\A(\d+-\d+)?\Z", doc="First and last position drawn; empty: all."
    )
    layer = param.Integer(
        None, bounds=(0, None), doc="Of the head's, neuron's or FFN's page."
    )
    expert = param.Integer(None, bounds=(-1, None), doc="Of the neuron, in a MoE.")
    role = param.String("", doc="Whose evidence the head's page shows.")
    token = param.String("", doc="Of the token's page.")
    tau: Any = param.Selector(
        objects=list(TAUS.values()),
        default=DEFAULT_TAU,
        doc="Of what is counted over a corpus: one that sweeps count at.",
    )
    least = param.Number(
        0.3, bounds=(0, 1), doc="Least frequency of what the graph of roles draws."
    )
    measure = param.String("", doc="Which figure of the components is shown.")
    facet = param.String("", doc="Split by this column of prompts, or metadata key.")
    a = param.String("", doc="The first cohort, as `store.cohorts` reads it.")
    b = param.String("", doc="The second.")
    other = param.String("", doc="A second run, compared with the first.")
    sql = param.String("", doc="What the SQL page asks.")
    search = param.String("", doc="Text that the listed prompts contain.")
    dataset = param.String("", doc="Only this dataset's prompts.")
    category = param.String("", doc="Only this category's prompts.")
    sort = param.String("", doc="Column of the list; a leading - sorts downwards.")
    page = param.Integer(1, bounds=(1, None), doc="Page of the list, from 1.")
    theme = param.String(
        "", regex=r"\A(dark)?\Z", doc="`dark` or nothing; Panel reads this key too."
    )

    def query(self, **changes: Any) -> str:
        """The query string of this selection, with some of it changed.

        >>> Selection(prompt=3, search="a b").query(target=5)
        '?prompt=3&target=5&search=a+b'
        """
        values = {key: getattr(self, key) for key in DEFAULTS} | changes
        return query_of({k: v for k, v in values.items() if v != DEFAULTS[k]})

    def link(self, **wanted: Any) -> str:
        """The query string of another place in this run, all else at its default.

        >>> Selection(run="r", prompt=3, search="a b").link(view="head", layer=1)
        '?run=r&view=head&layer=1'
        """
        values = DEFAULTS | {"run": self.run, "theme": self.theme} | wanted
        return query_of({k: v for k, v in values.items() if v != DEFAULTS[k]})

    def go(self, **wanted: Any) -> None:
        """Turn to another place in this run, as its `link` does."""
        self.load(self.link(**wanted))

    def load(self, query: str) -> None:
        """Become what a query string says, in one change; what it cannot mean is left
        at its default, so that an old or mistyped link still opens something."""
        given = dict(parse_qsl(query.lstrip("?")))
        self.param.update(**{key: _parsed(key, given.get(key)) for key in KEYS})


OF_A_PROMPT = dict[str, Any](
    target=None,
    selected="",
    head=None,
    neuron=None,
    expert=None,
    layers="",
    positions="",
)
"""What another prompt, or none, begins with."""

OF_A_VIEW = dict[str, Any](view="", layer=None, role="", token="")
"""What leads from a page about the run to a prompt, with OF_A_PROMPT."""

KEYS = tuple(key for key in Selection.param if key != "name")

DEFAULTS: dict[str, Any] = {key: Selection.param[key].default for key in KEYS}
"""Of the class: to ask an instance's `param` for them copies each parameter."""


def query_of(values: dict[str, Any]) -> str:
    """The query string of some values, `?` in front; empty if there are none."""
    return "?" + urlencode(values) if values else ""


def _parsed(key: str, text: str | None) -> Any:
    parameter = Selection.param[key]
    if text is None:
        return parameter.default
    try:
        value = CONVERT.get(type(parameter), str)(text)
        parameter._validate(value)  # the public way sets an instance's value
    except (ValueError, KeyError):
        return parameter.default
    return value


CONVERT: dict[type, Callable[[str], Any]] = {
    param.Integer: int,
    param.Number: float,
    param.Selector: float,
    param.Boolean: {"True": True, "False": False}.__getitem__,
}
