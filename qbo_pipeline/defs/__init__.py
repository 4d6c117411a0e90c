"""What Dagster shows and runs: thin wrappers that name tables, call a flow and report what happened.

No `from __future__ import annotations` in here: Dagster reads the annotations of what it decorates as they are.
"""
