"""The page as long as somebody looks on: sections that changed, as server-sent events.

Streams end when the service is told to stop; a stream that nobody reads is cut.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pgwatch_wed.serve.http.publisher import Publisher
from pgwatch_wed.serve.pages.live_page import LivePage, RenderedPage
from pgwatch_wed.serve.state import Board, ServiceState

_LEAST_S = 1.0
_ALIVE_S = 15.0
_PAUSE_S = 0.2
MOST_STREAMS = 50


class Watching:
    """Renders the page while somebody wants it, at most once a second, off the event loop."""

    def __init__(self, board: Board, publisher: Publisher, now: Callable[[], float]) -> None:
        self._board, self._now = board, now
        self._page = LivePage()
        self._newest: tuple[float, ServiceState, RenderedPage] | None = None
        self._rendering = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: set[asyncio.Event] = set()
        self._is_ending = False
        publisher.listen(self._published)

    def end(self) -> None:
        """End all streams; called in the event loop."""
        self._is_ending = True
        for event in self._streams:
            event.set()

    async def page(self, _request: Request) -> Response:
        """Return the page."""
        newest = await asyncio.to_thread(self._rendered)
        policy = {"content-security-policy": newest.policy}
        return Response(newest.body, headers=policy, media_type="text/html; charset=utf-8")

    async def stream(self, _request: Request) -> Response:
        """Return a stream of what changes."""
        if len(self._streams) >= MOST_STREAMS or self._is_ending:
            body = '{"title":"too many streams","status":503}'
            headers = {"retry-after": "15"}
            return Response(body, 503, headers, media_type="application/problem+json")
        self._loop = asyncio.get_running_loop()
        return StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[bytes]:
        changed = asyncio.Event()
        self._streams.add(changed)
        sent: dict[str, str] = {}
        told_at = 0.0
        try:
            yield b"retry: 3000\n\n"
            while not self._is_ending:
                changed.clear()
                page = await asyncio.to_thread(self._rendered)
                news = {k: v for k, v in page.sections.items() if sent.get(k) != v}
                if news or time.monotonic() - told_at >= _ALIVE_S:
                    yield self._event(page, news)
                    sent, told_at = dict(page.sections), time.monotonic()
                await asyncio.sleep(_PAUSE_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), _ALIVE_S)
            yield b"event: end\ndata: {}\n\n"
        finally:
            self._streams.discard(changed)

    def _event(self, page: RenderedPage, sections: dict[str, str]) -> bytes:
        message = {"now": self._now(), "status": page.status, "sections": sections}
        return f"event: page\ndata: {json.dumps(message)}\n\n".encode()

    def _rendered(self) -> RenderedPage:
        """Return a page that is at most a second old, or of a state that is still the newest."""
        with self._rendering:
            state, now = self._board.state, self._now()
            if self._newest is not None and 0 <= now - self._newest[0] < _LEAST_S:
                return self._newest[2]
            page = self._page.render(state, now)
            self._newest = (now, state, page)
            return page

    def _published(self, state: ServiceState, now: float) -> None:
        self._page.remember(state, now)
        if self._streams and self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for event in self._streams:
            event.set()
