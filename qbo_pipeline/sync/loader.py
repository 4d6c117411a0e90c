"""One load: read the chosen entities of one company and merge them into Postgres, through dlt.

The working directory is new for every load and gone after it: state comes back from Postgres, so nothing that a killed
run leaves behind can wedge or mislead the next one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dlt
from dlt.pipeline.exceptions import PipelineStepFailed
from sqlalchemy.engine import make_url

from qbo_pipeline.catalog import SCHEMA, Entity
from qbo_pipeline.errors import LoadError
from qbo_pipeline.sync.destination import exact_postgres
from qbo_pipeline.sync.outcome import EntityOutcome
from qbo_pipeline.sync.resources import Reading, books, staging_schema


def load(entities: tuple[Entity, ...], reading: Reading, database_url: str) -> list[EntityOutcome]:
    """Read ``entities`` and merge what was read; return what happened to each.

    An entity that cannot be read is reported in its outcome. Raises LoadError when what was read cannot be written.
    """
    staging = staging_schema(reading.realm_id)
    with _working_directory() as working, _dlt_settings():
        pipeline = dlt.pipeline(
            f"quickbooks_{reading.realm_id}",
            pipelines_dir=str(working),
            dataset_name=SCHEMA,
            destination=exact_postgres(
                credentials=make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False),
                staging_dataset_name_layout=f"%s_staging_{reading.realm_id}",
            ),
        )
        try:
            pipeline.run(books(entities, reading, staging), loader_file_format="csv")
        except PipelineStepFailed as failure:
            if failure.step != "load":
                raise  # reading reports its own failures; anything else up to here is a bug of ours
            raise _explained(failure, reading.realm_id) from None
    return [reading.outcomes[entity.name] for entity in entities]


def _explained(failure: PipelineStepFailed, realm_id: str) -> LoadError:
    """Turn dlt's failure into ours. The database's own message may quote a row, so only its code is kept."""
    seen: list[BaseException] = []
    cause: BaseException | None = failure
    while cause is not None and cause not in seen:
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    state = next((str(code) for each in seen if (code := getattr(each, "pgcode", None))), None)
    job = next((str(name).split(".")[0] for each in seen if (name := getattr(each, "job_id", None))), None)
    where = f" into {SCHEMA}.{job}" if job else ""
    what = f"Postgres error {state}" if state else type(seen[-1]).__name__
    return LoadError(
        f"Loading company {realm_id}{where} failed with {what}; no cursor moved, "
        "so the next sync reads the same records again."
    )


@contextmanager
def _working_directory() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="qbo-load-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _dlt_settings() -> Iterator[None]:
    """Settings dlt only takes from its configuration: no telemetry, staging emptied, few connections, quiet logs."""
    dlt.config["runtime.dlthub_telemetry"] = False
    dlt.config["runtime.log_level"] = "CRITICAL"
    dlt.config["load.truncate_staging_dataset"] = True
    dlt.config["load.workers"] = 4
    dlt.config["normalize.workers"] = 1
    yield
