"""Memory stays as flat as what is kept in it, however many pages pass through.

A page of records is a few megabytes, and several are in flight. glibc learns from the first one freed to take the next
from its ordinary heap, between small things that stay: sixty pages then leave 300 MB of holes behind. Told a fixed
limit, it maps big blocks by themselves and gives each back to the system when it is freed.
https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html
"""

from __future__ import annotations

import ctypes
import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: ``M_MMAP_THRESHOLD`` of malloc.h. Setting it also ends glibc's own adjusting of it.
_MMAP_THRESHOLD = -3
#: Bytes. Pages and what they are read into lie above this, rows and their cells below.
_BIG = 1 << 20


@functools.cache
def keep_big_blocks_apart() -> bool:
    """Tell the C library so, once for the process; False where it is another one, which needs no telling."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _BIG))


@contextmanager
def importing() -> Iterator[None]:
    """Import much without the collector, which would look at all of it again and again: nothing of it is garbage."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@functools.cache
def spare_what_is_imported() -> None:
    """Keep Python's collector, once for the process, from going through libraries again while pages pass through.

    Rows are freed without it; looking at a hundred thousand objects that stay was a twelfth of a long load.
    """
    gc.collect()
    gc.freeze()
