"""How fast the product is, against the physical floor and against what one would write otherwise.

``python -m benchmarks`` runs it (``make bench``); docs/performance.md says what was measured and how to read it.
"""
