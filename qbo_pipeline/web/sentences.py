"""What a failure is called in an answer."""

from qbo_pipeline.errors import PipelineError


def sentence(error: Exception) -> str:
    """Return the sentence of a failure: its own, or that Postgres is away."""
    return str(error) if isinstance(error, PipelineError) else "Postgres does not answer; try again in a moment."
