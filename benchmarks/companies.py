"""An hour of many quiet companies: what one hourly run costs, Dagster included.

    python -m benchmarks.companies hour     one hourly run of all connected companies; prints its cost as JSON

It is a program of its own so that its CPU can be told in two parts: what every Python program with these libraries pays
(starting, importing) and what the run itself costs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import requests

from benchmarks.fake import Fake
from benchmarks.installation import Installation
from qbo_pipeline.books import Books
from qbo_pipeline.settings import Settings

_FIRST = 9_130_000_000_100_000


def connect(installation: Installation, database: str, fake: Fake, companies: int) -> None:
    """Connect and load ``companies`` companies without records, as a night of first loads would have."""
    books = Books(
        Settings(database_url=database, environment="local", local_url=fake.url, state_dir=installation.state)
    )
    for realm in range(_FIRST, _FIRST + companies):
        (state,) = parse_qs(urlsplit(books.connector.begin()).query)["state"]
        books.connector.complete({"state": state, "code": "code", "realmId": str(realm)})
        books.sync(str(realm), trigger="bench")
    books.database.dispose()


def _hour() -> None:
    import dagster as dg

    from qbo_pipeline.definitions import defs
    from qbo_pipeline.defs.partitions import COMPANIES, current_month, key
    from qbo_pipeline.defs.schedules import ALONE, TOGETHER

    books = Books()
    started, imported = time.monotonic(), _cpu()
    os.environ["DAGSTER_PG_URL"] = books.dagster_url
    with dg.DagsterInstance.get() as instance:
        keys = sorted(company.partition_key for company in books.hourly_companies())
        instance.add_dynamic_partitions(str(COMPANIES.name), keys)
        shared = -(-len(keys) // TOGETHER) if len(keys) > ALONE else 0
        runs = shared or len(keys)
        config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        for number in range(runs):
            hour = {"companies": keys[number::runs]} if shared else {}
            result = defs.resolve_job_def("sync").execute_in_process(
                instance=instance,
                resources={"books": books},
                partition_key=None if shared else key(keys[number], current_month(datetime.now(UTC))),
                run_config={**config, "ops": {"sync_company": {"config": hour}}},
            )
            assert result.success
    print(
        json.dumps(
            {
                "companies": len(keys),
                "runs": runs,
                "import_cpu": imported,
                "run_cpu": _cpu() - imported,
                "wall": time.monotonic() - started,
            }
        )
    )


def _cpu() -> float:
    times = os.times()
    return times.user + times.system


def calls(fake: Fake) -> int:
    """Return the calls made since the fake was last set."""
    return int(requests.get(f"{fake.url}/control", timeout=30).json()["calls"])


if __name__ == "__main__":
    if sys.argv[1:] != ["hour"]:
        raise SystemExit(__doc__)
    _hour()
