"""Series of runs, programs taking turns, and the table they make."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import companies
from benchmarks.cases import DLT, FLOOR, PRODUCT, UPSERTS, Case, WrongTablesError, agree, run
from benchmarks.installation import Installation
from benchmarks.measure import Cost, measured, median


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``of_floor`` is its client CPU over the floor's; ``both``: with Postgres'."""

    what: str
    program: str
    runs: int
    cpu: float
    postgres_cpu: float
    wall: float
    rss_mb: float
    calls: int
    of_floor: float | None = None
    both_of_floor: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Series:
    """Measures on one installation, and remembers."""

    def __init__(self, place: Installation, rounds: int, say: Callable[[str], None]) -> None:
        self._place = place
        self._rounds = rounds
        self._say = say
        self.rows: list[Row] = []

    def first_loads(self, invoices: int, *, rivals: bool) -> None:
        """Load so many invoices into empty tables, with every program."""
        cases = [FLOOR, PRODUCT, *([DLT, UPSERTS] if rivals else [])]
        costs: dict[Case, list[Cost]] = {case: [] for case in cases}
        calls = dict.fromkeys(cases, 0)
        what = f"first load of {invoices:,} invoices"
        for number in range(self._rounds):
            floor: dict[str, tuple[object, ...]] = {}
            for case in cases:
                self._place.fake.set(invoices=invoices)
                with self._place.database() as database:
                    cost = run(case, self._place, database, invoices)
                    found = case.check(database)
                floor = floor or found
                if not agree(found, floor):
                    raise WrongTablesError(f"{case.name} made {found} of what is {floor}.")
                costs[case].append(cost)
                calls[case] = self._place.fake.calls()
                self._told(number, what, case.name, cost)
        self._note(what, [(case.name, costs[case], calls[case]) for case in cases])

    def changes(self, invoices: int, *, changed: int) -> None:
        """Change some of many invoices, and bring them as the floor does and as the product does."""
        what = f"{changed:,} changes into {invoices:,} invoices"
        self._place.fake.set(invoices=invoices)
        costs: dict[str, list[Cost]] = {"floor": [], "product": [], "product, nothing changed": []}
        calls = dict.fromkeys(costs, 0)
        with self._place.database() as database:
            run(PRODUCT, self._place, database, invoices)
            self._say(f"{invoices:,} invoices are there to be changed")
            for number in range(self._rounds):
                for name, case, touched in (
                    ("floor", _since(datetime.now(UTC) - timedelta(hours=1)), changed),
                    ("product", PRODUCT, changed),
                    ("product, nothing changed", PRODUCT, 0),
                ):
                    self._place.fake.set(invoices=invoices, touched=touched)
                    costs[name].append(run(case, self._place, database, changed))
                    calls[name] = self._place.fake.calls()
                    self._told(number, what, name, costs[name][-1])
        self._note(what, [(name, costs[name], calls[name]) for name in costs])

    def latency(self, invoices: int, *, milliseconds: int) -> None:
        """Load from a QuickBooks that answers at once, and from one that takes its time."""
        names = {0: "answers at once", milliseconds: f"answers after {milliseconds} ms"}
        costs: dict[str, list[Cost]] = {name: [] for name in names.values()}
        calls = dict.fromkeys(costs, 0)
        what = f"QuickBooks' slowness, {invoices:,} invoices"
        for number in range(self._rounds):
            for pause, name in names.items():
                self._place.fake.set(invoices=invoices, latency_ms=pause)
                with self._place.database() as database:
                    costs[name].append(run(PRODUCT, self._place, database, invoices))
                calls[name] = self._place.fake.calls()
                self._told(number, what, name, costs[name][-1])
        self._note(what, [(name, costs[name], calls[name]) for name in costs], floor=False)

    def hour(self, many: int) -> None:
        """Run one hour of so many quiet companies in Dagster; its imports are told apart."""
        what = f"a quiet hour of {many:,} {'company' if many == 1 else 'companies'}, Dagster included"
        with self._place.database() as database:
            self._place.fake.set()
            companies.connect(self._place, database, self._place.fake, many)
            self._say(f"{many:,} companies are connected")
            costs, calls, imports = [], 0, []
            for number in range(self._rounds + 1):  # the first marks the month
                self._place.fake.set()
                cost = measured(
                    [sys.executable, "-W", "ignore", "-m", "benchmarks.companies", "hour"],
                    environment={**self._place.environment(database), **self._place.dagster},
                    postmaster=self._place.postmaster,
                    log=self._place.folder / "hour.log",
                )
                self._told(number, what, "product", cost)
                if number:
                    costs.append(cost)
                    imports.append(json.loads(cost.said.splitlines()[-1])["import_cpu"])
                    calls = self._place.fake.calls()
        self._note(what, [("product", costs, calls)], floor=False)
        self._say(f"of its CPU, {sorted(imports)[len(imports) // 2]:.1f} s are imports")

    def figures(self) -> dict[str, float]:
        """Return what the goals are about and no single row says."""
        found = {}
        loads = sorted(
            (int(row.what.split()[3].replace(",", "")), row.program, row)
            for row in self.rows
            if row.what.startswith("first load") and row.program in ("floor", "product")
        )
        for program in ("floor", "product"):
            mine = [(invoices, row) for invoices, name, row in loads if name == program]
            if len(mine) > 1:
                (few, small), (many, large) = mine[0], mine[-1]
                found[f"{program}, µs per further invoice"] = (large.cpu - small.cpu) / (many - few) * 1e6
        return found

    def show(self) -> None:
        """Print the table."""
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD)
        for name in ("", "CPU s", "of floor", "Postgres s", "both of floor", "wall s", "peak MB", "calls"):
            table.add_column(name, justify="left" if not name else "right")
        last = ""
        for row in self.rows:
            if row.what != last:
                table.add_row(f"[bold]{row.what}")
                last = row.what
            table.add_row(
                f"  {row.program}",
                f"{row.cpu:.2f}",
                _ratio(row.of_floor),
                f"{row.postgres_cpu:.2f}",
                _ratio(row.both_of_floor),
                f"{row.wall:.1f}",
                f"{row.rss_mb:.0f}",
                f"{row.calls:,}",
            )
        console = Console(width=120)
        console.print(table)
        for name, value in self.figures().items():
            console.print(f"  {name}: {value:.0f}")

    def _note(self, what: str, found: Sequence[tuple[str, list[Cost], int]], *, floor: bool = True) -> None:
        first = median(found[0][1])
        for name, costs, calls in found:
            cost = median(costs)
            self.rows.append(
                Row(
                    what,
                    name,
                    len(costs),
                    cost.cpu,
                    cost.postgres_cpu,
                    cost.wall,
                    cost.rss_mb,
                    calls,
                    cost.cpu / first.cpu if floor else None,
                    (cost.cpu + cost.postgres_cpu) / (first.cpu + first.postgres_cpu) if floor else None,
                )
            )

    def _told(self, number: int, what: str, name: str, cost: Cost) -> None:
        self._say(f"{number + 1}  {what}: {name}, {cost.cpu:.2f} + {cost.postgres_cpu:.2f} CPU s, {cost.wall:.1f} s")


def _since(time: datetime) -> Case:
    def command(fake: str, database: str, changed: int) -> list[str]:
        return [sys.executable, "-m", "benchmarks.floor", fake, database, str(changed), time.isoformat()]

    return Case("floor", command, FLOOR.check)


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"
