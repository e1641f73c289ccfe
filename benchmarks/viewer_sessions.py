"""Sessions of the viewer without browsers, for viewer.py: what the server takes alone.

A session gets the page, opens its websocket, pulls the document and says that it is
ready, as Bokeh's client does; what a reader does it sends as the address bar's
component would, and waits until the server has sent the new page's title, which it
sends last.
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Self

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect
from viewer_server import Prompt, Viewer

PATIENCE = 60.0  # seconds
SETTLE = 2.0
"""Seconds in which a reader looks at a new page: what is done sooner may be lost, as
the server's threads take what is sent at once in any order."""
LARGEST = 2**28  # bytes of a message
MOST = 100
"""Pages asked for at the same time."""
TOKEN = re.compile(r'"token":\s*"([^"]+)"')
URL_STATE = "UrlState"


class Session:
    """An open session, and when it was opened."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket
        self._url_state = ""
        self._title = ""
        self._listening: asyncio.Task[None]
        self._changed = asyncio.Event()
        self.milliseconds = 0.0
        """From asking for the page until it was all there."""

    @classmethod
    async def open(
        cls, viewer: Viewer, query: str = "", *, settle: float = SETTLE
    ) -> Self:
        """What a browser does to show a page; then its reader looks at it."""
        began = time.perf_counter()
        address = f"http://127.0.0.1:{viewer.port}/{query}"
        page = await AsyncHTTPClient(max_clients=MOST).fetch(
            address, connect_timeout=PATIENCE, request_timeout=PATIENCE
        )
        token = TOKEN.search(page.body.decode())
        assert token is not None
        request = HTTPRequest(
            f"ws://127.0.0.1:{viewer.port}/ws",
            headers={"Origin": f"http://127.0.0.1:{viewer.port}"},
            connect_timeout=PATIENCE,
            request_timeout=PATIENCE,
        )
        socket = await websocket_connect(
            request,
            subprotocols=["bokeh", token.group(1)],
            max_message_size=LARGEST,
        )
        session = cls(socket)
        await session._until("ACK")
        await session._ask("PULL-DOC-REQ", {})
        document = await session._until("PULL-DOC-REPLY")
        session.milliseconds = 1e3 * (time.perf_counter() - began)
        session._url_state = model_of(document["doc"], URL_STATE)
        session._listening = asyncio.create_task(session._listen())
        await session._say("document_ready", {})
        await session._tell(query)
        await asyncio.sleep(settle)
        return session

    async def turn_to(self, query: str, title: str) -> float:
        """Milliseconds until the server has sent another page, of another title."""
        assert not self._title.startswith(title)
        began = time.perf_counter()
        await self._tell(query)
        async with asyncio.timeout(PATIENCE):
            while not self._title.startswith(title):
                self._changed.clear()
                await self._changed.wait()
        return 1e3 * (time.perf_counter() - began)

    def close(self) -> None:
        self._listening.cancel()
        self._socket.close()

    async def _tell(self, query: str) -> None:
        """The reader has turned to another address."""
        data = {"type": "map", "entries": [["query", query]]}
        await self._say("data_event", {"model": {"id": self._url_state}, "data": data})

    async def _say(self, event: str, values: Mapping[str, Any]) -> None:
        entries = [[name, value] for name, value in values.items()]
        encoded = {"type": "map", "entries": entries}
        message = {"type": "event", "name": event, "values": encoded}
        sent = {
            "kind": "MessageSent",
            "msg_type": "bokeh_event",
            "msg_data": message,
        }
        await self._ask("PATCH-DOC", {"events": [sent]})

    async def _ask(self, kind: str, content: Mapping[str, Any]) -> None:
        header = {"msgid": uuid.uuid4().hex, "msgtype": kind}
        for part in (header, {}, content):
            await self._socket.write_message(json.dumps(part))

    async def _until(self, kind: str) -> Mapping[str, Any]:
        """The content of the next message of a kind."""
        while True:
            heard, content = await self._read()
            if heard == kind:
                return content

    async def _listen(self) -> None:
        while True:
            kind, content = await self._read()
            if kind != "PATCH-DOC":
                continue
            for event in content["events"]:
                if event.get("attr") == "title" and isinstance(event["new"], str):
                    self._title = event["new"]
                    self._changed.set()

    async def _read(self) -> tuple[str, Mapping[str, Any]]:
        """Kind and content of a message; its buffers are dropped."""
        header = json.loads(await self._part())
        await self._part()
        content = json.loads(await self._part())
        for _ in range(2 * header.get("num_buffers", 0)):
            await self._part()
        return header["msgtype"], content

    async def _part(self) -> str | bytes:
        part = await self._socket.read_message()
        if part is None:
            raise ConnectionError("the server has closed a session")
        return part


def model_of(document: Any, class_name: str) -> str:
    """The id of the one component of a class in a document."""
    if isinstance(document, dict):
        attributes = document.get("attributes")
        if isinstance(attributes, dict) and attributes.get("class_name") == class_name:
            return str(document["id"])
        document = list(document.values())
    if isinstance(document, list):
        return next(filter(None, (model_of(v, class_name) for v in document)), "")
    return ""


async def open_sessions(viewer: Viewer, prompts: Sequence[Prompt]) -> list[Session]:
    """One after the other, each on a prediction of its own."""
    return [await Session.open(viewer, prompt.query) for prompt in prompts]


async def look_around(
    session: Session, prompts: Sequence[Prompt], *, turns: int
) -> list[float]:
    """Milliseconds of each turn: from prediction to list, to the next prediction, and
    so on."""
    found = []
    for turn in range(turns):
        prompt = prompts[turn % len(prompts)]
        if turn % 2 == 0:
            query = prompt.listed(page=1 + turn // 2 % 3)
            found.append(await session.turn_to(query, "flowglass"))
        else:
            title = f"prompt {prompt.prompt_id} "
            found.append(await session.turn_to(prompt.query, title))
    return found
