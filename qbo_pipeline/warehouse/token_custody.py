"""What a person does with stored tokens: seal what lies open, change the key, make another installation the keeper.

Each is one transaction that locks the rows it changes, so a refresh comes before or after it and never in between.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

import sqlalchemy as sa

from qbo_pipeline.errors import BusyError, SettingsError
from qbo_pipeline.secret import Secret
from qbo_pipeline.warehouse.stored_tokens import all_tokens, opened_refresh_token, stored_tokens
from qbo_pipeline.warehouse.vault import Bound, Custody, is_sealed

_log = logging.getLogger(__name__)

_LOCKED = "SELECT realm_id FROM quickbooks.connections ORDER BY realm_id FOR UPDATE"
_ARCHIVED = """
SELECT archive_id, coalesce(realm_id, '') AS realm_id, token->>'refresh_token' AS token
FROM quickbooks.tokens_archive WHERE token->>'refresh_token' IS NOT NULL FOR UPDATE
"""


def seal_all(connection: sa.Connection, custody: Custody) -> list[str]:
    """Seal every refresh token that lies open, archived ones too; say in words what was done."""
    connection.execute(sa.text(_LOCKED))
    opened = [each for each in all_tokens(connection) if not each.is_sealed]
    for each in opened:
        opened_refresh_token(connection, custody, each)
    archived = _reseal_archive(connection, custody, lambda token: not is_sealed(token))
    count = len(opened) + archived
    return [f"Sealed {count} refresh token{'' if count == 1 else 's'} that lay open."] if count else []


def rekey(engine: sa.Engine, custody: Custody) -> int:
    """Seal every token with the first key of the ring; return how many were sealed with another, or not at all.

    Access tokens become what ``custody`` says: sealed, or open for other programs. Raises SettingsError, with nothing
    changed, when one was sealed with a key that the ring does not hold.
    """
    vault = custody.vault
    changed = 0
    with engine.begin() as connection:
        connection.execute(sa.text(_LOCKED))
        previous = {
            row.realm_id: row
            for row in connection.execute(
                sa.text(
                    "SELECT realm_id, prev_refresh_token AS token, prev_generation AS generation "
                    "FROM quickbooks.connections"
                )
            )
        }
        for each in all_tokens(connection):
            access, refresh = (
                Bound(each.realm_id, column, each.generation) for column in ("access_token", "refresh_token")
            )
            changed += not (each.refresh_token and vault.seals_with_the_first_key(each.refresh_token))
            before = previous[each.realm_id]
            earlier = Bound(each.realm_id, "refresh_token", before.generation or 0)
            values = {
                "realm_id": each.realm_id,
                "access": custody.sealed_access(vault.open(each.access_token, access), access),
                "refresh": _sealed_again(custody, each.refresh_token, refresh),
                "previous": _sealed_again(custody, before.token, earlier),
            }
            connection.execute(
                sa.text(
                    "UPDATE quickbooks.tokens SET access_token = :access, refresh_token = :refresh "
                    "WHERE realm_id = :realm_id"
                ),
                values,
            )
            connection.execute(
                sa.text("UPDATE quickbooks.connections SET prev_refresh_token = :previous WHERE realm_id = :realm_id"),
                values,
            )
        changed += _reseal_archive(connection, custody, lambda token: not vault.seals_with_the_first_key(token))
    return changed


def take_ownership(engine: sa.Engine, custody: Custody, realm_ids: Collection[str]) -> None:
    """Make this installation the keeper of companies. BusyError while another is renewing one of them."""
    with engine.begin() as connection:
        busy = connection.execute(
            sa.text(
                "SELECT realm_id, lease_owner FROM quickbooks.connections "
                "WHERE realm_id = ANY(:realms) AND lease_until >= now() AND installation <> :installation FOR UPDATE"
            ),
            {"realms": list(realm_ids), "installation": custody.installation},
        ).first()
        if busy is not None:
            raise BusyError(
                f"{busy.lease_owner} is renewing the tokens of company {busy.realm_id} right now; stop it first, then "
                "try again in two minutes."
            )
        connection.execute(
            sa.text(
                "UPDATE quickbooks.connections SET installation = :installation, lease_epoch = lease_epoch + 1 "
                "WHERE realm_id = ANY(:realms) AND installation IS DISTINCT FROM :installation"
            ),
            {"realms": list(realm_ids), "installation": custody.installation},
        )


def open_tokens(engine: sa.Engine, custody: Custody, realm_id: str) -> list[Secret]:
    """Return the refresh and the access token of a company, as far as they are there and a key opens them."""
    with engine.connect() as connection:
        found = stored_tokens(connection, realm_id)
    opened = []
    for column in ("refresh_token", "access_token"):
        if found is not None and (text := getattr(found, column)):
            try:
                opened.append(custody.vault.open(text, Bound(realm_id, column, found.generation)))
            except SettingsError:
                _log.warning("The %s of company %s cannot be opened, so it cannot be revoked.", column, realm_id)
    return opened


def forget_tokens(engine: sa.Engine, realm_id: str) -> None:
    """Wipe the tokens of a company that was disconnected; its books, its key and its cursors stay."""
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE quickbooks.connections SET status = 'disconnected', generation = generation + 1, "
                "lease_epoch = lease_epoch + 1, lease_owner = NULL, lease_until = NULL, intent_at = NULL, "
                "prev_refresh_token = NULL, prev_generation = NULL, prev_superseded_at = NULL, "
                "refresh_hard_expires_at = NULL, failures = 0, refusals = 0, suspect_since = NULL, retry_at = NULL, "
                "last_error = NULL WHERE realm_id = :realm_id"
            ),
            {"realm_id": realm_id},
        )
        connection.execute(
            sa.text(
                "UPDATE quickbooks.tokens SET access_token = '', refresh_token = NULL, is_active = false, "
                "expires_at = now() AT TIME ZONE 'UTC', refresh_token_expires_at = NULL, "
                "updated_at = now() AT TIME ZONE 'UTC' WHERE realm_id = :realm_id"
            ),
            {"realm_id": realm_id},
        )


def _sealed_again(custody: Custody, token: str | None, bound: Bound) -> str | None:
    return custody.vault.seal(custody.vault.open(token, bound).reveal(), bound) if token else None


def _reseal_archive(connection: sa.Connection, custody: Custody, wanted: Callable[[str], bool]) -> int:
    """Seal the archived refresh tokens that are ``wanted``; return how many."""
    rows = [row for row in connection.execute(sa.text(_ARCHIVED)) if wanted(row.token)]
    for row in rows:
        bound = Bound(row.realm_id, "archive", row.archive_id)
        connection.execute(
            sa.text(
                "UPDATE quickbooks.tokens_archive SET token = jsonb_set(token, '{refresh_token}', "
                "to_jsonb(CAST(:sealed AS text))) WHERE archive_id = :archive_id"
            ),
            {"sealed": _sealed_again(custody, row.token, bound), "archive_id": row.archive_id},
        )
    return len(rows)
