"""`digest serve`: pages, schedule and sender, until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from typing import Any

import typer
import uvicorn

from digest.app import App
from digest.cli.logs import log_to_stderr
from digest.cli.opening import clock, opened
from digest.cli.printing import local
from digest.cli.secret import watch_secret
from digest.cli.worker import Processes, be_sender
from digest.errors import UsageError
from digest.scheduler import create_scheduler
from digest.web import create_web

PARTS = ("web", "scheduler", "sender")
log = logging.getLogger("digest.serve")


def serve(
    host: str | None = typer.Option(None, help="Instead of [web] host."),
    port: int | None = typer.Option(None, help="Instead of [web] port."),
    without: list[str] = typer.Option([], help="Leave a part out: web, scheduler or sender; may be repeated."),
    processes: int = Processes,
) -> None:
    """Run pages, schedule and sender until told to stop."""
    left_out = {part.strip() for word in without for part in word.split(",")}
    if unknown := left_out - set(PARTS):
        raise UsageError(f"--without {min(unknown)}: there is no such part; there are: {', '.join(PARTS)}")
    log_to_stderr()
    parts = set(PARTS) - left_out
    with opened(proved=True) as app:
        watch_secret(app)
        web = app.config.web
        listener = _listen(host or web.host, web.port if port is None else port) if "web" in parts else None
        asyncio.run(_serve(app, parts, listener, processes))


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else begins. Raises UsageError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host} port {port}: {error.strerror}; set [web] host and port, or --host and --port"
        ) from None
    # What is accepted inherits it. asyncio sets it only for sockets it made itself, and without it the end of a reply
    # waits 40 ms for the client to acknowledge its beginning (RFC 896, RFC 1122 section 4.2.3.2).
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _greet(app: App, parts: set[str], listener: socket.socket | None) -> None:
    """Where readers sign up, what comes next, and what is still to be done: all one wants to know at a first start."""
    if listener is not None:
        here = "http://{}:{}".format(*listener.getsockname()[:2])
        log.info("readers sign up at %s, which is %s on this machine", app.links.url(""), here)
    if "scheduler" not in parts:
        return
    now = clock()
    for each in app.newsletters.values():
        log.info("%s: the next edition is due on %s", each.title, local(each.schedule.next(now), each.zone))
    if not app.config.sources:
        log.info("no sources yet, so there is nothing to pick from: add [[sources]] to config.toml")
    if not app.config.desk.addresses:
        log.info("nobody at the desk is told when something is wrong: write addresses into [desk]")


async def _serve(app: App, parts: set[str], listener: socket.socket | None, processes: int) -> None:
    """All parts in one loop; the end of any is the end of all."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    _greet(app, parts, listener)  # from here on it can be stopped in peace
    tasks: list[asyncio.Task[None]] = []
    if "sender" in parts:
        tasks.append(asyncio.create_task(_send(app, stopping, processes)))
    if listener is not None:
        tasks.append(asyncio.create_task(_serve_web(app, listener, stopping)))
    scheduler = create_scheduler(app, clock) if "scheduler" in parts else None
    if scheduler:
        scheduler.start()
    waiting = asyncio.create_task(_wait(stopping))
    try:
        await asyncio.wait([*tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.set()
        if scheduler:
            scheduler.shutdown(wait=False)
        results = await asyncio.gather(*tasks, waiting, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _wait(stopping: asyncio.Event) -> None:
    await stopping.wait()


async def _send(app: App, stopping: asyncio.Event, processes: int) -> None:
    """Run the sender in a thread and an event loop of its own, so that no page waits for its transactions."""
    sending: dict[str, Any] = {}

    async def send() -> None:
        sending["loop"], sending["stopping"] = asyncio.get_running_loop(), asyncio.Event()
        if stopping.is_set():
            sending["stopping"].set()
        await be_sender(app, sending["stopping"], processes)

    running = asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(send())))
    waiting = asyncio.create_task(_wait(stopping))
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not running.done() and sending:
        sending["loop"].call_soon_threadsafe(sending["stopping"].set)
    await running


async def _serve_web(app: App, listener: socket.socket, stopping: asyncio.Event) -> None:
    settings = uvicorn.Config(
        create_web(app, clock),
        log_config=None,
        access_log=False,  # paths hold tokens; the web part logs its own masked line
        server_header=False,
        timeout_graceful_shutdown=10,
        proxy_headers=False,  # whom to believe is decided by [web] trusted_proxies
    )
    server = _Server(settings)
    ending = asyncio.create_task(_stop_web(server, stopping))
    try:
        await server.serve(sockets=[listener])
    finally:
        stopping.set()
        await ending


class _Server(uvicorn.Server):
    """uvicorn without its own hands on the signals: one place decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        """Leave the signals alone."""
        yield


async def _stop_web(server: uvicorn.Server, stopping: asyncio.Event) -> None:
    await stopping.wait()
    server.should_exit = True
