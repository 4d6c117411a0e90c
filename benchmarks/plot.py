"""Draws what a load costs. Needs matplotlib: ``uv run --group bench python -m benchmarks --plot FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(document: dict[str, Any], file: Path) -> None:
    """Draw one bar per program and size, client and Postgres stacked, per thousand invoices."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    loads = [row for row in document["rows"] if row["what"].startswith("first load")]
    sizes = list(dict.fromkeys(row["what"] for row in loads))
    figure, axes = pyplot.subplots(1, len(sizes), figsize=(5 * len(sizes), 3.2), layout="constrained")
    for size, place in zip(sizes, [axes] if len(sizes) == 1 else axes, strict=True):
        rows = [row for row in loads if row["what"] == size][::-1]
        names = [row["program"] for row in rows]
        client, server = ([row[name] for row in rows] for name in ("cpu", "postgres_cpu"))
        place.barh(names, client, color="#2ca01c", label="client")
        place.barh(names, server, left=client, color="#a9a9a9", label="Postgres")
        for number, row in enumerate(rows):
            total = row["cpu"] + row["postgres_cpu"]
            place.text(total, number, f" {total:.1f} s", va="center", fontsize=8)
        place.set_title(size, fontsize=10)
        place.set_xlabel("CPU seconds")
        place.margins(x=0.18)
        place.spines[["top", "right"]].set_visible(False)
    figure.legend(*place.get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize=8, frameon=False)
    machine = document["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}", fontsize=8)
    figure.savefig(file, dpi=110)
