"""A web application on a free port of this machine, in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

_STARTED_WITHIN = 15.0  # seconds


def listening() -> socket.socket:
    """A socket on a free port of loopback: bound first, so nobody else can take the port."""
    return socket.create_server(("127.0.0.1", 0), backlog=128)


def address(listener: socket.socket) -> str:
    """The web address of a listening socket."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def serving(web: Any, listener: socket.socket) -> Iterator[str]:
    """Serve `web` on the listener while the block lasts; gives its address."""
    server = uvicorn.Server(uvicorn.Config(web, log_config=None, access_log=False, timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    waited = threading.Event()
    for _ in range(int(_STARTED_WITHIN / 0.01)):
        if server.started or not thread.is_alive():
            break
        waited.wait(0.01)
    if not server.started:
        raise RuntimeError("the web server did not start")
    try:
        yield address(listener)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
