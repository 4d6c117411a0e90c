"""One load: read the chosen entities of one company and merge them into Postgres, through dlt.

The working directory is new for every load and gone after it: state comes back from Postgres, so nothing that a killed
run leaves behind can wedge or mislead the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import dlt
from dlt.pipeline.exceptions import PipelineStepFailed
from sqlalchemy.engine import make_url

from qbo_pipeline.catalog import SCHEMA, Entity
from qbo_pipeline.errors import LoadError
from qbo_pipeline.sync.cursors import pipeline_name
from qbo_pipeline.sync.destination import exact_postgres
from qbo_pipeline.sync.fence import Fence
from qbo_pipeline.sync.memory import spare_what_is_imported
from qbo_pipeline.sync.outcome import EntityOutcome
from qbo_pipeline.sync.reading import Reading
from qbo_pipeline.sync.resources import books, staging_schema
from qbo_pipeline.sync.scratch import scratch_folder


def load(
    entities: tuple[Entity, ...],
    reading: Reading,
    database_url: str,
    *,
    before_load: Callable[[], None],
    fence: Fence | None = None,
) -> list[EntityOutcome]:
    """Read ``entities`` and merge what was read; return what happened to each.

    ``before_load`` is called when all was read and nothing was written yet.

    An entity that cannot be read is reported in its outcome. Raises LoadError when what was read cannot be written.
    """
    spare_what_is_imported()
    staging = staging_schema(reading.realm_id)
    with scratch_folder() as working:
        pipeline = dlt.pipeline(
            pipeline_name(reading.realm_id),
            pipelines_dir=str(working),
            dataset_name=SCHEMA,
            destination=exact_postgres(
                credentials=make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False),
                staging_dataset_name_layout=f"%s_staging_{reading.realm_id}",
                fence=fence,
            ),
        )
        try:
            pipeline.sync_destination()
            pipeline.extract(books(entities, reading, staging), loader_file_format="csv")
            pipeline.normalize()
            # Before the cursor moves, so that a deletion cannot be passed over by whatever kills us in between.
            before_load()
            pipeline.load()
        except PipelineStepFailed as failure:
            if not isinstance(failure.exception, Exception):
                raise failure.exception from None  # Ctrl-C, or cancelled in Dagster
            if failure.step in ("extract", "normalize"):
                raise  # reading reports its own failures; anything else up to here is a bug of ours
            raise _explained(failure, reading.realm_id) from None
    return [reading.outcomes[entity.name] for entity in entities]


def _explained(failure: PipelineStepFailed, realm_id: str) -> LoadError:
    """Turn dlt's failure into ours. The database's own message may quote a row, so only its code is kept."""
    seen: list[BaseException] = []
    cause: BaseException | None = failure
    while cause is not None and cause not in seen:
        seen.append(cause)
        cause = getattr(cause, "client_exception", None) or cause.__cause__ or cause.__context__
    state = next((str(code) for each in seen if (code := getattr(each, "pgcode", None))), None)
    job = next((str(name).split(".")[0] for each in seen if (name := getattr(each, "job_id", None))), None)
    where = f" into {SCHEMA}.{job}" if job else ""
    what = f"Postgres error {state}" if state else type(seen[-1]).__name__
    return LoadError(
        f"Loading company {realm_id}{where} failed with {what}; no cursor moved, "
        "so the next sync reads the same records again.",
        # Class 21 to 23: a value or a row that Postgres refuses, rather than Postgres being away.
        refused_a_value=bool(state and re.match("2[123]", state)),
    )
