"""What the process says of itself: `/healthz`, `/readyz`, `/metrics`, `/status`.

Asks the callables it was given and nothing else; no secrets, no records, no names of clients.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import prometheus_client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def health_app(
    *,
    status: Callable[[], Awaitable[Mapping[str, Any]]],
    unready: Callable[[], str | None],
    metrics: Callable[[], bytes],
) -> Starlette:
    """Build the application.

    Args:
        status: Gives the document that `hoptrail status` shows.
        unready: Gives the reason why no more traffic should be sent here, or None.
        metrics: Renders the metrics in Prometheus' text format.
    """

    async def healthz(_: Request) -> Response:
        """Alive: the loop answers."""
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        reason = unready()
        return PlainTextResponse(f"{reason or 'ok'}\n", status_code=503 if reason else 200)

    async def metrics_text(_: Request) -> Response:
        return Response(metrics(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    async def status_json(_: Request) -> Response:
        return Response(orjson.dumps(await status()), media_type="application/json")

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics_text),
            Route("/status", status_json),
        ]
    )
