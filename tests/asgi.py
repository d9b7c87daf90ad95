"""The web application under asyncio, as its server runs it, without a server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from webapp.config.asgi import application


def browse(scenario: Callable[[httpx.AsyncClient], Awaitable[Any]], **headers: str) -> Any:
    """Run a scenario with a client of the application, for at most half a minute."""

    async def run() -> Any:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as by:
            async with asyncio.timeout(30):
                return await scenario(by)

    return asyncio.run(run())
