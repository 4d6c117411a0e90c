"""How quickly a notification is answered: ``python -m benchmarks.webhook_endpoint`` prints percentiles.

The real web app in a process of its own, a real Postgres, and between them a proxy that adds a delay to every round
trip. Requests begin at fixed times whether or not earlier ones were answered, and each is timed from when it was due.
Intuit waits three seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hmac
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import requests
import sqlalchemy as sa

from qbo_pipeline.warehouse.embedded import EmbeddedPostgres
from qbo_pipeline.warehouse.engine import open_engine
from qbo_pipeline.warehouse.migrate import upgrade

TOKEN, REALM = "benchmark-verifier", "9130000000000001"


class SlowLine:
    """A proxy before Postgres: every byte arrives half a round trip later, in both directions."""

    def __init__(self, port: int, round_trip: float) -> None:
        self._target = port
        self._delay = round_trip / 2
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, daemon=True).start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._pass(reader, forth), self._pass(back, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # whoever is stopped leaves without a word
            while data := await reader.read(65536):
                self._loop.call_later(self._delay, writer.write, data)
        self._loop.call_later(self._delay, writer.close)


@contextmanager
def web_app(database_url: str, state_dir: Path) -> Iterator[str]:
    """Serve the web app as ``qbo up`` does; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "DATABASE_URL": database_url,
        "QBO_ENVIRONMENT": "local",
        "QBO_WEBHOOK_VERIFIER_TOKEN": TOKEN,
        "QBO_STATE_DIR": str(state_dir),
    }
    process = subprocess.Popen([sys.executable, "-m", "qbo_pipeline.web", "--port", str(port)], env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                if requests.get(f"{address}/readyz", timeout=10).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def notification(number: int) -> tuple[bytes, str]:
    """Return the body of a notification of one event, and its signature."""
    event = {
        "specversion": "1.0",
        "id": f"benchmark-{number}",
        "source": "intuit.benchmark",
        "type": "qbo.invoice.updated.v1",
        "time": datetime.now(UTC).isoformat(),
        "intuitentityid": str(number),
        "intuitaccountid": REALM,
        "data": {},
    }
    body = json.dumps([event]).encode()
    return body, base64.b64encode(hmac.digest(TOKEN.encode(), body, "sha256")).decode()


def fire(address: str, rate: float, seconds: float, first: int) -> tuple[list[float], Counter[int]]:
    """Send at a steady rate; return how long each took from when it was due, and how it was answered."""
    local, statuses = threading.local(), Counter[int]()
    begin = time.perf_counter() + 0.5

    def send(number: int) -> float:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        due = begin + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        body, signature = notification(first + number)
        answer = local.session.post(
            f"{address}/webhooks/quickbooks", data=body, headers={"intuit-signature": signature}, timeout=30
        )
        statuses[answer.status_code] += 1
        return time.perf_counter() - due

    with ThreadPoolExecutor(100) as crowd:
        return list(crowd.map(send, range(int(rate * seconds)))), statuses


def main() -> None:
    """Measure without a delay and with one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--latency", type=float, default=200, help="of the database, in milliseconds a round trip")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qbo-benchmark-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # as root, another account runs the server and has to get in
        server = EmbeddedPostgres(home / "state", service_home=home / "service")
        try:
            engine = open_engine(server.ensure())
            upgrade(engine)
            with engine.begin() as connection:
                connection.execute(
                    sa.text(
                        "INSERT INTO quickbooks.connections (realm_id, environment, partition_key) "
                        "VALUES (:realm, 'local', 'benchmark')"
                    ),
                    {"realm": REALM},
                )
            sent = 0
            for latency in (0.0, asked.latency):
                line = SlowLine(engine.url.port or 5432, latency / 1000)
                url = engine.url.set(host="127.0.0.1", port=line.port).render_as_string(hide_password=False)
                with web_app(url, home) as address:
                    time.sleep(5)  # it opens its connections when it starts
                    fire(address, 20, 1, first=10**9 + int(latency))
                    took, statuses = fire(address, asked.rate, asked.seconds, first=sent)
                sent += len(took)
                took.sort()
                marks = ", ".join(
                    f"{name} {took[min(int(len(took) * share), len(took) - 1)] * 1000:.0f} ms"
                    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1))
                )
                print(f"{asked.rate:g}/s, database {latency:g} ms away: {marks}; {len(took)} sent, {dict(statuses)}")
            with engine.connect() as connection:
                stored = connection.execute(
                    sa.text("SELECT count(*) FROM quickbooks.webhook_events WHERE record_id::bigint < 10 ^ 9")
                ).scalar_one()
            print(f"{stored} of {sent} are in the inbox")
            engine.dispose()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
