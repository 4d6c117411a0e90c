"""A believable company out of a seed: a garden and consulting business with three years of books that balance.

The same seed, size and day give the same bytes. Dates spread over the three years before the clock's today; every
document was created on the day it is dated. Vocabulary and amounts are invented (words.py).
"""

from __future__ import annotations

from qbo_pipeline.sandbox.books import Books
from qbo_pipeline.sandbox.clock import Clock
from qbo_pipeline.sandbox.generator.extras import write_extras
from qbo_pipeline.sandbox.generator.ledger import Ledger
from qbo_pipeline.sandbox.generator.lists import settle_balances, write_company, write_lists
from qbo_pipeline.sandbox.generator.sales import plan_sales
from qbo_pipeline.sandbox.generator.spending import plan_deposits, plan_spending
from qbo_pipeline.sandbox.generator.words import COMPANY
from qbo_pipeline.sandbox.generator.writing import write_all


def generate(realm: str, clock: Clock, *, seed: int = 1, invoices: int = 200, name: str | None = None) -> Books:
    """Return a company with about so many invoices, and everything else in proportion."""
    books = Books(realm, name or COMPANY, clock)
    ledger = Ledger(books, seed)
    write_company(ledger, books.name)
    write_lists(ledger, customers=min(max(14, invoices // 8), 3000), vendors=min(max(8, invoices // 25), 400))
    plan_sales(ledger, invoices)
    plan_spending(ledger, invoices)
    plan_deposits(ledger)
    write_all(ledger)
    settle_balances(ledger)
    write_extras(ledger)
    return books
