"""The form in which a reader types a prompt, and the line about a run that is live."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import panel as pn
import panel_material_ui as pmu
import param
from panel.custom import JSComponent

from .live import Live
from .live_asks import LiveError, Request, Visitor, ask_of
from .section_head import SectionHead
from .selection import Selection

NOWHERE: dict[str, Any] = {
    "prompt": None,
    "target": None,
    "selected": "",
    "head": None,
    "neuron": None,
    "layers": "",
    "positions": "",
    "search": "",
    "dataset": "",
    "category": "",
    "sort": "",
    "page": 1,
}
"""What of the Selection is about another run or prompt."""

LINE_STYLE = """
  :host { font-size: 13px; line-height: 1.5; color: var(--fg-muted) }
  b { color: var(--fg-accent); border: 1px solid currentColor; border-radius: 4px;
    font-weight: 500; padding: 1px 6px; margin-right: 8px }
  .bad { color: var(--fg-bad) } .good { color: var(--fg-good) }
"""


class LiveForm(JSComponent):
    """Draws the form, and sends all of it at once when it is submitted."""

    models = param.List([], doc="Names to choose from; the first is chosen.")
    busy = param.Boolean(False, doc="A request of this session is on its way.")
    share = param.Number(0.0, doc="How much of it is done, 0 to 1.")
    message = param.String("", doc="What to say under the form.")
    tone = param.String("", doc="`good`, `bad` or nothing.")

    _esm = Path(__file__).parent / "live_form.js"

    def __init__(self, on_trace: Callable[[dict[str, Any]], None], **params: Any):
        super().__init__(**params)  # type: ignore[no-untyped-call]  # Panel's
        self._on_trace = on_trace

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        if isinstance(msg.get("trace"), dict):
            self._on_trace(msg["trace"])


class LivePanel:
    """One session's form and line; `tick` shows how far its request is."""

    def __init__(
        self, live: Live, selection: Selection, *, notify: Callable[[], None]
    ) -> None:
        """`notify` has `tick` called soon, from whatever thread."""
        self._live = live
        self._selection = selection
        self._notify = notify
        self._visitor = Visitor()
        self._opened: Request | None = None
        self._run = ""
        self.form = LiveForm(
            self._trace,
            models=live.models,
            sizing_mode="stretch_width",
            margin=0,
        )
        self.root = pn.Column(
            SectionHead("Try a prompt", margin=(0, 0, 4, 0)),
            self.form,
            sizing_mode="stretch_width",
            margin=(0, 0, 14, 0),
        )
        self._said = pn.pane.HTML(stylesheets=[LINE_STYLE], margin=0)
        self._save = pmu.Button(
            label="Save into the store",
            variant="outlined",
            size="small",
            margin=0,
            on_click=lambda _: self._save_run(),
        )
        self.line = pn.FlexBox(
            self._said,
            self._save,
            align_items="center",
            gap="16px",
            visible=False,
            sizing_mode="stretch_width",
            margin=(10, 24, 0, 24),
        )

    def turn_to(self, run_id: str) -> None:
        """The page shows this run, or none."""
        is_live = bool(run_id) and self._live.stores.is_live(run_id)
        self._run = run_id
        self._save.visible = is_live
        self.line.visible = is_live or self._saving() is not None
        self._tell_line(is_live)

    def _saving(self) -> Request | None:
        """This session's request to save the run that is shown."""
        request = self._visitor.request
        mine = request is not None and request.save and request.run_id == self._run
        return request if mine else None

    def _tell_line(self, is_live: bool) -> None:
        request = self._saving()
        if request is not None:
            tone = "bad" if request.error else "good" if request.over else ""
            said = escape(request.error or request.said)
            said = f'<span class="{tone}">{said}</span>'
        else:
            said = (
                "This run is gone when this server ends; until then all who use the "
                "server see it."
            )
        mark = "<b>live</b>" if is_live else ""
        self._said.object = f'<span role="status">{mark}{said}</span>'

    def tick(self) -> str:
        """Show how far the request is; the run to open, once."""
        request = self._visitor.request
        if request is None:
            return ""
        if request.save:
            self._save.disabled = not request.over
            self.turn_to(self._run)
            self.form.busy = not request.over
            return ""
        tone = "bad" if request.error else "good" if request.over else ""
        self.form.param.update(
            busy=not request.over,
            share=request.done,
            message=request.error or request.said,
            tone=tone,
        )
        if not request.run_id or request is self._opened or request.error:
            return ""
        self._opened = request
        return request.run_id

    def open(self, run_id: str) -> None:
        """Show a run that has just been traced: its prediction, or its list."""
        request = self._opened
        if request is None or self._selection.prompt is not None:
            return  # the reader is at something else: it is in the list of runs
        single = len(request.ask.texts) == 1
        changes = {**NOWHERE, "run": run_id, "prompt": 0 if single else None}
        self._selection.param.update(**changes)

    def _trace(self, form: dict[str, Any]) -> None:
        try:
            self._live.submit(self._visitor, ask_of(form), notify=self._notify)
        except LiveError as error:
            self.form.param.update(message=str(error), tone="bad")
            return
        self.tick()

    def _save_run(self) -> None:
        try:
            self._live.save(self._visitor, self._run, notify=self._notify)
        except LiveError as error:
            said = escape(str(error))
            self._said.object = f'<b>live</b><span class="bad" role="status">{said}'
            return
        self.tick()
