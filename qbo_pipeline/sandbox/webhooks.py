"""Webhooks: what changes in the books is told to a subscriber, signed, as Intuit tells it; or as badly as asked for.

Every write of the books is heard (``heard``), becomes an event, and waits its time on the sandbox's clock. ``deliver``
takes what is due to the subscriber, as a task of the server does all the time; ``take`` hands it out instead, for tests
that are the network themselves. A delivery that is not answered with 200 is tried again after 10, 20 and 30 seconds, 5
and 20 minutes, 2, 4 and then every 6 hours (Intuit, 2025-10-14), and nothing else is delivered until then.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import random
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
import requests

from qbo_pipeline.sandbox.clock import Clock
from qbo_pipeline.sandbox.values import encode

#: Entities Intuit tells of, by the name it uses (webhooks entity page).
NOTIFIED = {
    name: name
    for name in (
        *("Account", "Bill", "BillPayment", "Budget", "Class", "CreditMemo", "Customer", "Department", "Deposit"),
        *("Employee", "Estimate", "Invoice", "Item", "JournalCode", "JournalEntry", "Payment", "PaymentMethod"),
        *("Preferences", "Purchase", "PurchaseOrder", "RefundReceipt", "SalesReceipt", "TaxAgency", "Term"),
        *("TimeActivity", "Transfer", "Vendor", "VendorCredit"),
    )
} | {"CompanyCurrency": "Currency"}
RETRIES = (10, 20, 30, 300, 1200, 7200, 14_400, 21_600)
_WORDS = {
    "created": "Create",
    "updated": "Update",
    "deleted": "Delete",
    "merged": "Merge",
    "voided": "Void",
    "emailed": "Emailed",
}
_PATIENCE_SECONDS = 3.0  # Intuit's
_POLL_SECONDS = 0.2

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Subscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to tell, and how (``/_sandbox/webhooks``). Without ``url`` events wait to be taken."""

    on: bool = False
    url: str | None = None
    verifier_token: str = "sandbox-verifier"  # noqa: S105 - there is nothing behind it
    format: Literal["cloudevents", "legacy"] = "cloudevents"
    delay_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    spread_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0  # each event waits up to so much longer
    duplicates: Share = 0.01
    losses: Share = 0.0
    shuffle: bool = True
    events_per_post: Annotated[int, msgspec.Meta(ge=1)] = 100
    seed: int = 1


@dataclass(slots=True)
class Event:
    """One change as it is told."""

    id: str
    realm: str
    entity: str
    key: str
    operation: str
    at: float
    due_at: float
    deleted: str | None = None

    @property
    def time(self) -> str:
        return datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Post:
    """One notification on its way."""

    body: bytes
    signature: str
    events: int
    attempts: int = 0
    due_at: float = 0.0


class Webhooks:
    """The events of all companies, and where they go."""

    def __init__(self, clock: Clock, is_connected: Callable[[str], bool]) -> None:
        """``is_connected`` tells of a realm: Intuit tells only of companies that have consented."""
        self._clock = clock
        self._is_connected = is_connected
        self.subscription = Subscription()
        self._pending: list[Event] = []
        self._post: Post | None = None
        self._chance = random.Random(1)
        self._task: asyncio.Task[None] | None = None
        self._busy = False
        self.counts: Counter[str] = Counter()
        self.answers: deque[dict[str, Any]] = deque(maxlen=100)

    def subscribe(self, subscription: Subscription) -> None:
        """Tell somebody else from now on, or in another way; what waits stays waiting."""
        if subscription.seed != self.subscription.seed or not self.subscription.on:
            self._chance = random.Random(subscription.seed)
        self.subscription = subscription
        if subscription.on and subscription.url and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._deliver_for_ever())

    def heard(self, realm: str, entity: str, key: str, operation: str, deleted: str | None = None) -> None:
        """Note a change of the books."""
        if not self.subscription.on or entity not in NOTIFIED or not self._is_connected(realm):
            return
        knobs, now = self.subscription, self._clock.now()
        self.counts["events"] += 1
        if self._chance.random() < knobs.losses:
            self.counts["lost"] += 1
            return
        named = f"{uuid.UUID(int=self._chance.getrandbits(128), version=4)}-{NOTIFIED[entity]}-{key}"
        copies = 1 + (self._chance.random() < knobs.duplicates)
        self.counts["duplicates"] += copies - 1
        for _ in range(copies):
            due_at = now + knobs.delay_seconds + self._chance.random() * knobs.spread_seconds
            self._pending.append(Event(named, realm, NOTIFIED[entity], key, operation, now, due_at, deleted))

    def report(self) -> dict[str, Any]:
        """Return what is known about deliveries."""
        return {
            "subscription": {**msgspec.to_builtins(self.subscription), "verifier_token": "***"},
            "pending": len(self._pending) + (self._post.events if self._post else 0),
            "withheld": self._post is not None and self._post.attempts > 0,
            "counts": dict(self.counts),
            "answers": list(self.answers),
        }

    def take(self) -> list[dict[str, Any]]:
        """Hand out every notification that is due, as it would be delivered."""
        taken = []
        while (post := self._next()) is not None:
            self._post = None
            self.counts["delivered"] += post.events
            taken.append({"signature": post.signature, "body": post.body.decode(), "events": post.events})
        return taken

    async def deliver(self) -> None:
        """Deliver what is due, up to the first that is not taken; it waits for its next attempt, and all others too."""
        if self._busy:
            return
        self._busy = True
        try:
            while self.subscription.url and (post := self._next()) is not None and post.due_at <= self._clock.now():
                status = await asyncio.to_thread(_sent, self.subscription.url, post)
                post.attempts += 1
                self.answers.append({"status": status, "events": post.events, "attempt": post.attempts})
                if status != 200:
                    self.counts["refused"] += 1
                    post.due_at = self._clock.now() + RETRIES[min(post.attempts, len(RETRIES)) - 1]
                    return
                self.counts["delivered"] += post.events
                self._post = None
        finally:
            self._busy = False

    async def _deliver_for_ever(self) -> None:
        while self.subscription.on:
            await self.deliver()
            await asyncio.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Tell nobody any more."""
        if self._task is not None:
            self._task.cancel()
        self.subscription = Subscription()

    def _next(self) -> Post | None:
        """Return the notification that is to be delivered: the one that was refused, or one of what is due."""
        if self._post is None:
            knobs, now = self.subscription, self._clock.now()
            due = [each for each in self._pending if each.due_at <= now]
            if not due:
                return None
            if knobs.shuffle:
                self._chance.shuffle(due)
            due = due[: knobs.events_per_post]
            chosen = set(map(id, due))
            self._pending = [each for each in self._pending if id(each) not in chosen]
            body = encode(_cloud_events(due) if knobs.format == "cloudevents" else _legacy(due))
            mac = hmac.digest(knobs.verifier_token.encode(), body, "sha256")
            self._post = Post(body, base64.b64encode(mac).decode(), len(due))
        return self._post


def _sent(url: str, post: Post) -> int | None:
    """Deliver a notification; return the status it was answered with, None when it was not in time."""
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "intuit_notification_server/0.1",
        "intuit-signature": post.signature,
    }
    try:
        answer = requests.post(url, data=post.body, headers=headers, timeout=_PATIENCE_SECONDS, allow_redirects=False)
    except requests.RequestException:
        return None
    return answer.status_code


def _cloud_events(events: list[Event]) -> list[dict[str, Any]]:
    return [
        {
            "specversion": "1.0",
            "id": each.id,
            "source": "intuit.c2FuZGJveA==",
            "type": f"qbo.{each.entity.lower()}.{each.operation}.v1",
            "datacontenttype": "application/json",
            "time": each.time,
            "intuitentityid": each.key,
            "intuitaccountid": each.realm,
            "data": {"deletedid": each.deleted} if each.deleted else {},
        }
        for each in events
    ]


def _legacy(events: list[Event]) -> dict[str, Any]:
    companies: dict[str, list[dict[str, Any]]] = {}
    for each in events:
        change = {"name": each.entity, "id": each.key, "operation": _WORDS[each.operation], "lastUpdated": each.time}
        if each.deleted:
            change["deletedId"] = each.deleted
        companies.setdefault(each.realm, []).append(change)
    return {
        "eventNotifications": [
            {"realmId": realm, "dataChangeEvent": {"entities": changes}} for realm, changes in companies.items()
        ]
    }
