"""Ticks of the hourly schedule, as Dagster's daemon evaluates them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context

from qbo_pipeline.books import Books
from qbo_pipeline.definitions import defs
from qbo_pipeline.defs.schedules import hourly


def tick(books: Books, instance: dg.DagsterInstance, at: datetime | None = None) -> Any:
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=at or datetime(2026, 11, 23, 14, 5, tzinfo=UTC),
        resources={"books": books},
        repository_def=defs.get_repository_def(),
    )
    with partition_loading_context(dynamic_partitions_store=instance):
        data = hourly.evaluate_tick(context)
    return data.run_requests, data.skip_message
