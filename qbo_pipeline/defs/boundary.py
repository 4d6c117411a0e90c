"""The edge of every op: what Dagster may be told of a failure.

Dagster keeps an exception's text for ever and shows it to everybody. A sentence of ours is made for that. Any other
exception may quote a row of somebody's books (a driver's "Failing row contains …") or a token: of such a one only its
kind, the database's error code and the places in the code are told.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from qbo_pipeline.errors import PipelineError
from qbo_pipeline.secret import scrub

_PLACES = 8


@contextmanager
def told_safely() -> Iterator[None]:
    """Turn whatever is raised in the block into a failure that quotes nothing; retries would not help either."""
    try:
        yield
    except dg.Failure:
        raise
    except PipelineError as error:
        raise dg.Failure(scrub(str(error)), allow_retries=False) from None
    except Exception as error:  # noqa: BLE001 - whatever it is, its text must not get out
        raise dg.Failure(
            f"A failure nobody foresaw: {_kind(error)}. What it said is left out, it may quote the books.",
            metadata={"where": dg.MetadataValue.md("\n".join(f"- {place}" for place in _places(error)))},
            allow_retries=False,
        ) from None


def _kind(error: BaseException) -> str:
    """Return the chain of kinds of an error, with the database's code where there is one."""
    kinds: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(kinds) < 4:
        code = getattr(getattr(seen, "orig", seen), "pgcode", None)
        kinds.append(type(seen).__name__ + (f" ({code})" if code else ""))
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return ", from ".join(kinds)


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES:]
    return [f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} in {frame.name}" for frame in frames]
