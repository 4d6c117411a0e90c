"""The checks that turn yellow when QuickBooks sends what the catalogue does not know. They stop nothing."""

from collections.abc import Collection, Iterator

import dagster as dg

from qbo_pipeline.catalog import ENTITIES
from qbo_pipeline.defs.keys import table_key
from qbo_pipeline.sync.outcome import Outcome
from qbo_pipeline.warehouse.drift import SeenDrift

_NAME = "schema_drift"


def drift_checks() -> list[dg.AssetCheckSpec]:
    """Return one check per entity, on its table."""
    return [
        dg.AssetCheckSpec(
            _NAME,
            asset=table_key(entity.table),
            description=f"Everything QuickBooks sent of {entity.name} of late has a column that holds it exactly.",
        )
        for entity in ENTITIES
    ]


def drift_results(outcome: Outcome, wanted: Collection[dg.AssetKey]) -> Iterator[dg.AssetCheckResult]:
    """Yield the result for each entity that was read and is wanted: yellow while something was seen of late."""
    for each in outcome.entities:
        key = table_key(each.entity.table)
        if each.ok and key in wanted:
            seen = [drift for drift in outcome.known_drift if drift.entity == each.entity.name]
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=_NAME,
                passed=not seen,
                severity=dg.AssetCheckSeverity.WARN,
                description=_about(seen),
                metadata={"seen": dg.MetadataValue.table([_row(drift) for drift in seen])} if seen else {},
            )


def _about(seen: list[SeenDrift]) -> str:
    if not seen:
        return "Nothing beyond the catalogue."
    fields = ", ".join(sorted({drift.field for drift in seen})[:5])
    return (
        f"QuickBooks sent {len(seen)} thing{'' if len(seen) == 1 else 's'} the catalogue does not know ({fields}). "
        "Nothing is lost: unknown fields and odd spellings are in the column extra, unknown choices in their own."
    )


def _row(drift: SeenDrift) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "kind": drift.kind,
            "field": drift.field,
            "records": drift.records,
            "first_seen": f"{drift.first_seen_at:%Y-%m-%d %H:%M} UTC",
            "last_seen": f"{drift.last_seen_at:%Y-%m-%d %H:%M} UTC",
        }
    )
