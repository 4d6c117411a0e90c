"""dlt as its documentation begins: dicts in, nested tables out, everything inferred.

python -m benchmarks.rivals.dlt_defaults URL_OF_FAKE URL_OF_DATABASE INVOICES
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import dlt
from dlt.destinations import postgres

from benchmarks.rivals import pages


def main(fake: str, database: str, invoices: int) -> None:
    """Load every invoice into schema ``rival``."""

    @dlt.resource(name="invoices", primary_key="Id", write_disposition="merge")
    def read() -> Iterator[list[dict[str, Any]]]:
        yield from pages(fake, invoices)

    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline("rival", pipelines_dir=folder, destination=postgres(database), dataset_name="rival")
        pipeline.run(read()).raise_on_failed_jobs()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
