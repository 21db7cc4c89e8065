"""`digest serve` and `digest worker`: the service itself, until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket

import typer
import uvicorn

from digest.app import App
from digest.cli.crew import hold_on, members
from digest.cli.opening import clock, opened
from digest.delivering import SenderBusy
from digest.errors import UsageError
from digest.scheduler import create_scheduler
from digest.web import create_web

PARTS = ("web", "scheduler", "sender")
_STANDBY = 2.0  # seconds between tries to become the sender
_Processes = typer.Option(1, min=1, max=64, help="How many processes send; they share the connections.")
log = logging.getLogger("digest.serve")


def serve(
    host: str | None = typer.Option(None, help="Instead of [web] host."),
    port: int | None = typer.Option(None, help="Instead of [web] port."),
    without: list[str] = typer.Option([], help="Leave a part out: web, scheduler or sender; may be repeated."),
    processes: int = _Processes,
) -> None:
    """Run the pages, the schedule and the sender until told to stop."""
    left_out = {part.strip() for word in without for part in word.split(",")}
    if unknown := left_out - set(PARTS):
        raise UsageError(f"--without {min(unknown)}: there is no such part; there are: {', '.join(PARTS)}")
    _log_to_stderr()
    parts = set(PARTS) - left_out
    with opened() as app:
        web = app.config.web
        listener = _listen(host or web.host, web.port if port is None else port) if "web" in parts else None
        asyncio.run(_serve(app, parts, listener, processes))


def worker(processes: int = _Processes, member_of: int = typer.Option(0, hidden=True)) -> None:
    """Only send; with PostgreSQL, on as many machines as you like."""
    _log_to_stderr()
    with opened() as app:
        if member_of:
            asyncio.run(_be_member(app, member_of))
        else:
            asyncio.run(_serve(app, {"sender"}, None, processes))


async def _be_member(app: App, processes: int) -> None:
    """Send beside the process that started us, and no longer than it lives."""
    sender = app.sender(clock, share=processes, is_member=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, sender.stopping.set)
    holding = asyncio.create_task(hold_on(sender.stopping))
    await sender.run()
    holding.cancel()


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else begins. Raises UsageError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host} port {port}: {error.strerror}; set [web] host and port, or --host and --port"
        ) from None


async def _serve(app: App, parts: set[str], listener: socket.socket | None, processes: int) -> None:
    """All parts in one loop; the end of any is the end of all."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
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
    """Be the sender; while another process is, stand by and take over when it goes."""
    standing_by = False
    while not stopping.is_set():
        sender = app.sender(clock, share=processes)
        sender.stopping = stopping
        try:
            async with members(sender, processes):
                await sender.run()
        except SenderBusy:
            if not standing_by:
                log.info("another process is sending; standing by to take over")
            standing_by = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _STANDBY)


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
    log.info("pages at http://%s:%d", *listener.getsockname()[:2])
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


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
