"""The one resource: an installation's books, wired from settings when something first runs."""

from __future__ import annotations

from qbo_pipeline.books import Books

__all__ = ["Books"]
