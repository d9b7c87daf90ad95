"""Runs the web application under asyncio, as its server does, but without a server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from webapp.config.asgi import application


def browse(scenario: Callable[[httpx.AsyncClient], Awaitable[Any]], **headers: str) -> Any:
    """Run a scenario with a client of the application; it may take half a minute at most."""

    async def run() -> Any:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
            async with asyncio.timeout(30):
                return await scenario(client)

    return asyncio.run(run())
