"""The cursors as dlt has committed them, read with one statement and without dlt.

A quiet hour needs no more than these. dlt keeps them in its state: JSON, packed, in a text. Whatever else that text is
one day is no cursor to us, and the company is then synced through dlt, which knows.
"""

from __future__ import annotations

import base64
import zlib
from datetime import datetime

import msgspec
import sqlalchemy as sa

from qbo_pipeline.catalog import SCHEMA

# As dlt asks itself: the newest state among the loads that were completed.
_STATE = f"""
SELECT s.state FROM {SCHEMA}._dlt_pipeline_state s JOIN {SCHEMA}._dlt_loads l ON l.load_id = s._dlt_load_id
WHERE s.pipeline_name = :name AND l.status = 0 ORDER BY l.load_id DESC LIMIT 1
"""  # noqa: S608 - our names


class _Source(msgspec.Struct, frozen=True):
    cursors: dict[str, datetime] = {}


class _Sources(msgspec.Struct, frozen=True):
    quickbooks: _Source = _Source()


class _State(msgspec.Struct):
    sources: _Sources = _Sources()


_state = msgspec.json.Decoder(_State).decode


def pipeline_name(realm_id: str) -> str:
    """Return the name under which dlt keeps a company's state."""
    return f"quickbooks_{realm_id}"


def committed_cursors(engine: sa.Engine, realm_id: str) -> dict[str, datetime]:
    """Return how far each entity of a company was read, by name; empty where nothing is known or understood."""
    try:
        with engine.connect() as connection:
            packed = connection.execute(sa.text(_STATE), {"name": pipeline_name(realm_id)}).scalar_one_or_none()
        if packed is None:
            return {}
        return _state(zlib.decompress(base64.b64decode(packed, validate=True))).sources.quickbooks.cursors
    except (sa.exc.ProgrammingError, ValueError, zlib.error, msgspec.DecodeError):
        return {}
