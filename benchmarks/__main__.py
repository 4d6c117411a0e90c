"""What a load costs beside the cheapest program there could be, and beside what one would otherwise write.

    make bench                                          some ten minutes: 10,000 and 100,000 invoices, hours, latency
    python -m benchmarks --sizes 10000 --rounds 5       sizes and rounds of your own
    python -m benchmarks --million                      a million invoices, and a thousand changes into them
    python -m benchmarks --json FILE --plot FILE        keep the figures; draw them (uv run --group bench)

Programs take turns within a series, so that whatever else the machine does meets all of them; figures are medians. CPU
is what counts: of the program with its children, and of Postgres apart. The tables of every run are compared with the
floor's, cell by cell for the product, by counts and sums of money for the others.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import psutil

from benchmarks.fake import running_fake
from benchmarks.installation import installation
from benchmarks.series import Series


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000], help="numbers of invoices")
    parser.add_argument("--rounds", type=int, default=3, help="how often each program runs at each size")
    parser.add_argument("--rivals-to", type=int, default=10_000, help="the largest size at which rivals take part")
    parser.add_argument("--companies", type=int, nargs="*", default=[1, 50], help="hours of so many quiet companies")
    parser.add_argument("--million", action="store_true", help="load a million invoices, then a thousand changes")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--plot", type=Path, help="draw them there (PNG)")
    asked = parser.parse_args()
    with running_fake() as fake, installation(fake) as place:
        series = Series(place, asked.rounds, say)
        for size in asked.sizes:
            series.first_loads(size, rivals=size <= asked.rivals_to)
        series.changes(1_000_000 if asked.million else max(asked.sizes), changed=1000)
        series.latency(max(asked.sizes), milliseconds=400)
        for companies in asked.companies:
            series.hour(companies)
    document = {"machine": machine(), "rows": [row.as_dict() for row in series.rows], "figures": series.figures()}
    series.show()
    if asked.json:
        asked.json.write_text(json.dumps(document, indent=2) + "\n")
    if asked.plot:
        from benchmarks.plot import draw

        draw(document, asked.plot)


def machine() -> dict[str, Any]:
    """Return what was measured on."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = round(psutil.virtual_memory().total / 2**30)
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": memory, "python": platform.python_version()}


def say(line: str) -> None:
    """Tell how it goes, on stderr."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
