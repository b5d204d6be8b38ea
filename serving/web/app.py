"""The gateway as one ASGI application: the API, the page, and the layers in front of both."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TextIO

from fastapi import FastAPI
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from serving.web.access import Gate
from serving.web.api import Api
from serving.web.asking import VersionedClient
from serving.web.config import GatewayConfig
from serving.web.errors import HANDLERS
from serving.web.http_safety import BoundedBody, SafeHeaders
from serving.web.keys import KeyFile
from serving.web.model_files import ModelFiles
from serving.web.request_log import RequestLog

STATIC = Path(__file__).parent / "static"


def create_app(config: GatewayConfig, *, log: TextIO = sys.stdout) -> ASGIApp:
    """Builds the application; nothing is connected before the first request.

    Args:
        config: The checked settings.
        log: The stream for the request log.

    Raises:
        DataError: If the file of keys cannot be read.
        ValueError: If the server's address is not HOST:PORT.
    """
    client = VersionedClient(
        config.server, model_name=config.model_name, timeout_s=config.timeout_s, tls=config.server_tls
    )
    files = ModelFiles(config.model_dir)
    keys = KeyFile(config.keys) if config.keys else None
    api = Api(client, files, config.pseudonyms, has_keys=keys is not None)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await client.close()
        files.close()

    app = FastAPI(
        title="Tandem",
        description="Search and recommendation over one model. Errors are one sentence in `error`.",
        # FastAPI's own documentation pages load scripts from other sites.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers=HANDLERS,
    )
    app.include_router(api.router)
    app.include_router(api.probes)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    # These layers are around the application and not its middleware. That way FastAPI's answer to a bug of
    # ours passes through them too.
    gate = Gate(
        BoundedBody(app),
        keys=keys,
        rate_limit=config.rate_limit,
        local_only=config.is_local and keys is None,
    )
    return RequestLog(SafeHeaders(gate), stream=log, pseudonyms=config.pseudonyms)
