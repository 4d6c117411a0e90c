"""Importing without the collector leaves it as it was, whatever happens meanwhile."""

from __future__ import annotations

import gc

import pytest

from qbo_pipeline.sync.memory import importing


@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_is_left_as_it_was(collects: bool) -> None:
    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with pytest.raises(ImportError):
            _import_in_vain()
        assert gc.isenabled() is collects
    finally:
        (gc.enable if before else gc.disable)()


def _import_in_vain() -> None:
    with importing():
        assert not gc.isenabled()
        raise ImportError
