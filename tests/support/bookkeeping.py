"""The books of a company at work: random, possible changes of the sandbox's records, as bookkeepers make them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qbo_pipeline.catalog import Entity
from tests.support.payloads import inner_record
from tests.support.quickbooks import Sandbox

HARD_DELETED = frozenset(
    (
        *("Invoice", "Payment", "Bill", "BillPayment", "Estimate", "CreditMemo", "SalesReceipt", "Purchase"),
        *("JournalEntry", "TimeActivity", "Transfer", "Deposit", "RefundReceipt", "PurchaseOrder", "VendorCredit"),
        *("Attachable", "RecurringTransaction"),
    )
)
VOIDED = frozenset(("Invoice", "Payment", "SalesReceipt", "BillPayment"))
MERGED = frozenset(("Customer", "Vendor"))
#: What a copy must not share with its original.
_OF_THE_ORIGINAL = (
    *("Id", "SyncToken", "MetaData", "FullyQualifiedName", "LinkedTxn", "UnappliedAmt", "RemainingCredit", "Balance"),
    "BalanceWithJobs",
)
_NOTES = {"Item": "Description", "Account": "Description", "TimeActivity": "Description", "Customer": "Notes"}

BOOKKEEPING = (
    *("edit", "edit", "lines", "lines", "insert", "insert", "bulk", "pay", "delete", "delete", "void", "touch"),
    *("deactivate", "restore", "restore", "recreate", "merge"),
)

Payload = dict[str, Any]
Truth = dict[str, dict[str, Payload]]


@dataclass
class Bookkeeper:
    """Changes one company's books; each method makes one change, or none where the books allow none, and says which."""

    sandbox: Sandbox
    realm: str
    entities: tuple[Entity, ...]
    page_size: int
    #: Whether something happened that no record's time of change tells.
    is_silent: bool = False

    def edit(self, chance: random.Random) -> str | None:
        entity, key = self._any(chance, lambda entity, _: entity.key_fields == ("Id",))
        if entity is None:
            return None
        note = _NOTES.get(entity.name, "PrivateNote" if entity.line_table else "")
        if not note:
            return self._apply({"op": "touch", "entity": entity.name, "id": key})
        return self._apply(
            {"op": "update", "entity": entity.name, "id": key, "record": {note: f"Edited, {chance.randrange(10**6)}"}}
        )

    def lines(self, chance: random.Random) -> str | None:
        entity, key = self._any(chance, lambda entity, record: bool(_own_lines(entity, record)))
        if entity is None:
            return None
        lines = _own_lines(entity, self._truth()[entity.json_key][key])
        changed = chance.choice(([], lines[1:], lines[:-1], lines * 2, lines[::-1], lines[:1]))
        return self._apply({"op": "update", "entity": entity.name, "id": key, "record": {"Line": changed}})

    def insert(self, chance: random.Random, copies: int = 1) -> str | None:
        entity, key = self._any(chance, lambda entity, _: entity.key_fields == ("Id",) and not _is_odd(entity))
        if entity is None:
            return None
        original = self._truth()[entity.json_key][key]
        return self._apply(
            *(
                {"op": "create", "entity": entity.name, "record": _copy(original, chance.randrange(10**9))}
                for _ in range(copies)
            )
        )

    def bulk(self, chance: random.Random) -> str | None:
        """An import: many records within one second."""
        return self.insert(chance, copies=chance.randint(3, 3 * self.page_size))

    def pay(self, chance: random.Random) -> str | None:
        found = [each for each in self._truth().get("Invoice", {}).values() if each.get("Balance", 0) > 1]
        if not found:
            return None
        invoice = chance.choice(found)
        line = {"Amount": 1, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
        record = {"CustomerRef": invoice["CustomerRef"], "TotalAmt": 1, "Line": [line]}
        return self._apply({"op": "create", "entity": "Payment", "record": record})

    def delete(self, chance: random.Random) -> str | None:
        return self._on_one("delete", chance, HARD_DELETED)

    def void(self, chance: random.Random) -> str | None:
        return self._on_one("void", chance, VOIDED)

    def touch(self, chance: random.Random) -> str | None:
        entity, key = self._any(chance, lambda entity, _: entity.key_fields == ("Id",))
        return None if entity is None else self._apply({"op": "touch", "entity": entity.name, "id": key})

    def deactivate(self, chance: random.Random) -> str | None:
        return self._on_one("deactivate", chance, {each.name for each in self.entities if each.active})

    def restore(self, chance: random.Random) -> str | None:
        found = self._deleted()
        if not found:
            return None
        name, key = chance.choice(found)
        return self._apply({"op": "restore", "entity": name, "id": key})

    def recreate(self, chance: random.Random) -> str | None:
        """A deleted record comes back as a new one, with its old Id: its version begins again at 0."""
        truth = self._truth()
        found = [(name, key) for name, key in self._deleted() if truth.get(name) and name != "RecurringTransaction"]
        if not found:
            return None
        name, key = chance.choice(found)
        copy = _copy(chance.choice(list(truth[name].values())), chance.randrange(10**9))
        return self._apply({"op": "create", "entity": name, "record": copy | {"Id": key}})

    def merge(self, chance: random.Random) -> str | None:
        truth = self._truth()
        names = [each.name for each in self.entities if each.name in MERGED and len(truth[each.name]) > 2]
        if not names:
            return None
        name = chance.choice(names)
        loser, winner = chance.sample(sorted(truth[name]), 2)
        # The loser's transactions and the winner's balance change, and no time of change says so.
        self.is_silent = True
        return self._apply({"op": "merge", "entity": name, "id": loser, "into": winner})

    def _apply(self, *operations: dict[str, Any]) -> str:
        plain = json.loads(json.dumps(operations, default=float))
        done = self.sandbox.edit(*plain, realm=self.realm)
        return ", ".join(f"{each['op']} {each['entity']} {each['Id']}" for each in done)

    def _on_one(self, operation: str, chance: random.Random, names: frozenset[str] | set[str]) -> str | None:
        entity, key = self._any(chance, lambda entity, _: entity.name in names)
        return None if entity is None else self._apply({"op": operation, "entity": entity.name, "id": key})

    def _any(self, chance: random.Random, fits: Callable[[Entity, Payload], bool]) -> tuple[Entity | None, str]:
        """Choose an entity first and a record of it then, so that long lists are not all that ever changes."""
        truth = self._truth()
        found = {
            entity: keys
            for entity in self.entities
            if (keys := [key for key, record in truth.get(entity.json_key, {}).items() if fits(entity, record)])
        }
        if not found:
            return None, ""
        entity = chance.choice(list(found))
        return entity, chance.choice(found[entity])

    def _truth(self) -> Truth:
        return self.sandbox.truth(self.realm)

    def _deleted(self) -> list[tuple[str, str]]:
        ours = {entity.name for entity in self.entities}
        deleted = self.sandbox.tell(f"/books/{self.realm}")["deleted"]
        return [(name, each["Id"]) for name, stones in deleted.items() if name in ours for each in stones]


def _own_lines(entity: Entity, record: Payload) -> list[Payload]:
    lines = inner_record(entity, record).get("Line") if entity.name in HARD_DELETED and not entity.wrapped else None
    return [line for line in lines or [] if line.get("DetailType") != "SubTotalLineDetail" and "LinkedTxn" not in line]


def _is_odd(entity: Entity) -> bool:
    return entity.wrapped or entity.singleton


def _copy(original: Payload, number: int) -> Payload:
    """Return a record like another, ready to be created: a name of its own, nothing paid and nothing linked."""
    copy = {name: value for name, value in original.items() if name not in _OF_THE_ORIGINAL}
    for name in ("DisplayName", "Name"):
        if name in copy:
            copy[name] = f"{copy[name][:60]} {number}"
    if isinstance(copy.get("Line"), list):
        copy["Line"] = [] if "PaymentRefNum" in copy or "PayType" in copy else _unlinked(copy["Line"])
    return copy


def _unlinked(lines: list[Payload]) -> list[Payload]:
    return [{name: value for name, value in line.items() if name != "LinkedTxn"} for line in lines]
