"""Tokens for tests: a key, a name, and what QuickBooks might have granted."""

from __future__ import annotations

from dataclasses import dataclass

from qbo_pipeline.warehouse.vault import Custody, Vault, new_key

CUSTODY = Custody(Vault(new_key()), "tests")


@dataclass(frozen=True)
class FakeGrant:
    """A token pair nobody granted."""

    access_token: str = "access 2"
    refresh_token: str | None = "refresh 2"
    expires_in: int = 3600
    refresh_expires_in: int | None = None
    refresh_hard_expires_in: int | None = None
    intuit_tid: str | None = None
