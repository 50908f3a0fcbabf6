"""How tests of the application's side send requests, without a server."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx


def ask(
    app: Any,
    path: str = "/",
    method: str = "GET",
    content: bytes | None = None,
    headers: Mapping[str, str | bytes] | None = None,
) -> httpx.Response:
    """Send one request; an exception of the application is the server's error, as with a real one."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            given = [(name, value) for name, value in (headers or {}).items()]
            return await client.request(method, path, content=content, headers=given)  # type: ignore[arg-type]

    return asyncio.run(send())
