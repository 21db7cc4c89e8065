"""`python -m bench.bare PORT`: the same framework with nothing in it, served as `digest serve` serves its pages."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from starlette.responses import Response

web = FastAPI(openapi_url=None)


@web.post("/beacon")
async def empty() -> Response:
    """Takes anything, does nothing."""
    return Response(status_code=204)


if __name__ == "__main__":
    uvicorn.run(
        web,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        proxy_headers=False,
    )
