"""Serving the sandbox on the loopback interface, until it is told to stop."""

from __future__ import annotations

import errno
import ipaddress
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn

from qbo_pipeline.sandbox.app import create_app
from qbo_pipeline.sandbox.world import GENERATED_REALM, LOADED_REALM


class PortInUseError(OSError):
    """Somebody else listens there already."""


class NotLoopbackError(ValueError):
    """The sandbox hands out tokens to whoever asks, so it listens on loopback only."""


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    seed: int = 1,
    invoices: int = 200,
    books: Path | None = None,
    throttle: bool = True,
    client_id: str = "sandbox-client",
    client_secret: str = "sandbox-secret",  # noqa: S107 - there is nothing behind it
    realm: str = GENERATED_REALM,
    books_realm: str = LOADED_REALM,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; ``ready`` is told the base URL. Port 0 takes a free one."""
    _check_loopback(host)
    with _bound(host, port) as listener:
        url = f"http://{host}:{listener.getsockname()[1]}"
        app = create_app(
            seed=seed,
            invoices=invoices,
            books=books,
            throttle=throttle,
            client_id=client_id,
            client_secret=client_secret,
            realm=realm,
            books_realm=books_realm,
        )
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            date_header=False,  # the sandbox's own clock says what day it is
            lifespan="off",
            timeout_graceful_shutdown=1,
            timeout_keep_alive=75,
            ws="none",
        )
        server = _Announcing(config, lambda: ready(url) if ready else None)
        server.run(sockets=[listener])


class _Announcing(uvicorn.Server):
    """A server that says so when it is listening."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Leave in peace: uvicorn's own handler would raise the signal again once everything is shut down."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _check_loopback(host: str) -> None:
    if host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise NotLoopbackError(f"The sandbox listens on loopback only, not on {host}.")


def _bound(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno in {errno.EADDRINUSE, errno.EACCES}:
            raise PortInUseError(error.errno, f"Port {port} on {host} is taken; choose another with --port.") from None
        raise
    return listener
