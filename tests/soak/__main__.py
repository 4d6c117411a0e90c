"""The whole soak: 300 schedules, the matrix of kills, cuts and crowds. Exit 1 on any loss: ``python -m tests.soak``."""

from __future__ import annotations

import argparse
import sys

from tests.soak import cuts, kills, schedules
from tests.soak.installation import installation, say


def main() -> None:
    """Run all three and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    asked = parser.parse_args()
    played = schedules.run(range(asked.first, asked.first + asked.schedules))
    with installation() as (home, server):
        killed = kills.matrix(home, rounds=1)
        cut = cuts.everything(home, server)
    say("\n".join(["", "schedules  " + schedules.figure(played), "kills      " + kills.figure(killed)]))
    say("cuts       " + cuts.figure(cut))
    sys.exit(any([*(each.wrong for each in played), *(each.wrong for each in killed), *(each.wrong for each in cut)]))


if __name__ == "__main__":
    main()
