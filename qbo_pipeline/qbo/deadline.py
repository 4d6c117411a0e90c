"""Connections that can be cut off when a call's time is up.

Flows in    ``cut_after(seconds)`` around one exchange on the current thread
Flows out   ``CuttableAdapter``, to mount on a session; the blocked read ends and ``Watch.expired`` says why

Socket timeouts measure silence. A server that sends one byte a minute, in its headers or inside a chunk, is never
silent, and the thread that waits for it cannot look at a clock; somebody else has to end that.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter

_thread = threading.local()


class Watch:
    """Shuts the connection of one exchange when its time is up."""

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._lock = threading.Lock()
        self._socket: Any = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Watch:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:  # from here on the connection may serve another thread
            self._socket = None

    def guard(self, connection_socket: Any) -> None:
        """From now on this is the socket to shut; at once, when time is up already."""
        with self._lock:
            self._socket = connection_socket
            if self.expired:
                _shut(connection_socket)

    def _cut(self) -> None:
        with self._lock:
            self.expired = True
            if self._socket is not None:
                _shut(self._socket)


@contextmanager
def cut_after(seconds: float) -> Iterator[Watch]:
    """Shut whatever connection this thread is using once ``seconds`` have passed."""
    with Watch(seconds) as watch:
        _thread.watch = watch
        try:
            yield watch
        finally:
            _thread.watch = None


class CuttableAdapter(HTTPAdapter):
    """requests' own adapter, over connections a ``Watch`` can shut."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make connections that report their socket to the current thread's watch."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Do the same for connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _HTTPConnection(urllib3.connection.HTTPConnection):
    def getresponse(self) -> Any:
        _report(self.sock)
        return super().getresponse()


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    def getresponse(self) -> Any:
        _report(self.sock)
        return super().getresponse()


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS: dict[str, type[urllib3.HTTPConnectionPool]] = {"http": _HTTPPool, "https": _HTTPSPool}


def _report(connection_socket: Any) -> None:
    watch: Watch | None = getattr(_thread, "watch", None)
    if watch is not None and connection_socket is not None:
        watch.guard(connection_socket)


def _shut(connection_socket: Any) -> None:
    try:
        # The plain socket's method: an SSL socket's own would also tear down what the reading thread is using.
        socket.socket.shutdown(connection_socket, socket.SHUT_RDWR)
    except (OSError, TypeError):  # closed already, or a stand-in that is no socket
        return
