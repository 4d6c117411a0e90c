"""A first load stays near the cheapest there could be. Seconds depend on the machine; ratios in one series do not."""

from __future__ import annotations

import pytest

from benchmarks.cases import FLOOR, PRODUCT, agree, run
from benchmarks.fake import running_fake
from benchmarks.installation import installation
from benchmarks.measure import Cost, median

pytestmark = pytest.mark.slow

FEW, MANY, ROUNDS = 1_000, 11_000, 3


def test_a_first_load_costs_little_more_than_the_floor() -> None:
    """What ten thousand more invoices cost: starting Python and its libraries is the same for any number.

    It was 1.3 times the floor's when this was written; 3 means that something is done twice.
    """
    costs: dict[tuple[str, int], list[Cost]] = {}
    with running_fake() as fake, installation(fake) as place:
        for _ in range(ROUNDS):
            for invoices in (FEW, MANY):
                tables = []
                for case in (FLOOR, PRODUCT):
                    fake.set(invoices=invoices)
                    with place.database() as database:
                        costs.setdefault((case.name, invoices), []).append(run(case, place, database, invoices))
                        tables.append(case.check(database))
                assert agree(tables[1], tables[0]), "fast, but not the same tables"
    further = {
        case.name: median(costs[case.name, MANY]).cpu - median(costs[case.name, FEW]).cpu for case in (FLOOR, PRODUCT)
    }
    assert further[PRODUCT.name] < 3.0 * further[FLOOR.name], costs
    assert median(costs[PRODUCT.name, MANY]).rss_mb < 250
