"""Every knob in one place, with the default we believe Intuit shows.

Where Intuit's behaviour is documented the default follows it; where it is unverified the alternatives are here, so that
a client can be proven against all of them. Unknown names and values are refused with one sentence.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from qbo_pipeline.sandbox.entities import BY_NAME


class KnobError(ValueError):
    """A knob was given an unknown name or a value it does not have."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the API side behaves (``/_sandbox/settings``)."""

    throttle: bool = True  # Intuit: limits and throttles
    throttle_per_second: int = 10  # per realm and app
    throttle_per_minute: int = 500  # per realm
    batch_per_minute: int = 40  # batch requests, per realm and app
    throttle_body: Literal["gateway", "capitalised", "html"] = "gateway"
    retry_after: int | None = None  # seconds; Intuit is not known to send the header
    monthly_quota: int = 0  # metered reads per month and workspace, 0 means no limit (App Partner Program)
    default_order: Literal["documented", "id", "shuffled"] = "documented"
    max_results_over: Literal["clamp", "fault"] = "clamp"
    start_position_zero: Literal["fault", "one"] = "fault"
    cdc_cap: int = 1000
    cdc_cap_scope: Literal["response", "entity"] = "response"
    cdc_unsupported: Literal["fault", "omit"] = "fault"
    cdc_time_activity: bool = True
    cdc_too_old: Literal["fault", "serve"] = "fault"
    cdc_inclusive: bool = True
    cdc_unchanged: Literal["empty_block", "omit"] = "empty_block"
    cdc_merge: Literal["stub", "inactive", "nothing"] = "stub"
    cdc_shuffle: bool = True
    cdc_stubs_first: bool = False
    cdc_duplicates: bool = False  # every object and stub comes twice
    cdc_false_stubs: tuple[str, ...] = ()  # "Invoice/12": shown as deleted just now, although it is live
    visible_after_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    visible_after_seed: int | None = None  # with one, each write waits its own share of the seconds
    merge_touches_transactions: bool = False
    balance_side_effects: bool = True  # derived balances move LastUpdatedTime, not SyncToken (recorded)
    unauthorized_body: Literal["gateway", "capitalised"] = "gateway"
    timezone: str = "America/Los_Angeles"
    poisoned: tuple[str, ...] = ()  # "Invoice/12": any page or CDC answer holding it fails
    poisoned_code: Literal["4002", "10000"] = "4002"  # Java-SDK issue 47, PHP-SDK issue 127
    poisoned_scope: Literal["page", "window"] = "page"
    poisoned_projection: bool = True
    unavailable: tuple[str, ...] = ()  # "Budget", or "9130000000000001/Budget" for one company
    unavailable_fault: Literal["5020", "5030", "unsupported", "unknown"] = "5020"

    def __post_init__(self) -> None:
        for knob in ("poisoned", "cdc_false_stubs"):
            for name in getattr(self, knob):
                entity, _, key = name.partition("/")
                if entity not in BY_NAME or not key:
                    raise ValueError(f"{knob} names records as in 'Invoice/12', not '{name}'")
        for name in self.unavailable:
            if name.rpartition("/")[2] not in BY_NAME:
                raise ValueError(f"unavailable names entities as in 'Budget', not '{name}'")

    def is_poisoned(self, entity: str, keys: Iterable[str]) -> bool:
        """Is a record among these that Intuit cannot answer?"""
        return bool(self.poisoned) and any(f"{entity}/{key}" in self.poisoned for key in keys)

    def lacks(self, realm: str, entity: str) -> bool:
        """Does this company's plan or region lack the entity?"""
        return entity in self.unavailable or f"{realm}/{entity}" in self.unavailable


class TokenPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the token endpoint behaves (``/_sandbox/tokens/policy``)."""

    access_token_seconds: int = 3600
    rotation: Literal["daily", "every_call", "never"] = "daily"
    rotate_after_seconds: int = 86_400  # age at which "daily" hands out a new refresh token (24–26 h, Intuit staff)
    grace_seconds: int = 0  # how long the previous refresh token still works
    revoke_on_reuse: bool = False  # a dead refresh token kills the whole grant
    code_seconds: int = 600
    code_reuse_revokes: bool = True  # Intuit staff, oauth-jsclient issue 173
    hard_expiry_field: Literal["opt_in", "always", "never"] = "opt_in"
    rolling_expiry: Literal["countdown", "constant"] = "countdown"
    rolling_seconds: int = 8_726_400
    hard_seconds: int = 157_680_000  # five years
    client_auth: Literal["basic_or_body", "basic_only"] = "basic_or_body"
    error_description: bool = False  # invalid_grant is recorded both with and without one
    callback_realm: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]*\Z")] = ""  # what the callback names instead


#: Intuit contradicts itself about what becomes of a refresh token that was replaced (client README: it lives for a day;
#: knowledge base: it is dead at once), and standards allow worse. A client has to live with each of these.
POLICIES: dict[str, dict[str, Any]] = {
    "daily, 24 h grace": {"rotation": "daily", "grace_seconds": 86_400, "revoke_on_reuse": False},
    "daily, no grace": {"rotation": "daily", "grace_seconds": 0, "revoke_on_reuse": False},
    "every call, no grace": {"rotation": "every_call", "grace_seconds": 0, "revoke_on_reuse": False},
    "every call, reuse revokes": {"rotation": "every_call", "grace_seconds": 0, "revoke_on_reuse": True},
}


Knobs = TypeVar("Knobs", bound=msgspec.Struct)


def changed(knobs: Knobs, changes: dict[str, Any]) -> Knobs:
    """Return the knobs with some of them turned."""
    try:
        return msgspec.convert(msgspec.to_builtins(knobs) | changes, type(knobs))
    except msgspec.ValidationError as error:
        raise KnobError(f"not a knob of this sandbox: {error}") from None
