"""The whole soak: schedules, kills, cuts, crowds, crashes of refreshes. Exit 1 on loss: ``python -m tests.soak``."""

from __future__ import annotations

import argparse
import sys

from tests.soak import chain, cuts, kills, schedules
from tests.soak.installation import installation, say


def main() -> None:
    """Run all four and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    asked = parser.parse_args()
    played = schedules.run(range(asked.first, asked.first + asked.schedules))
    with installation() as (home, server):
        killed = kills.matrix(home, rounds=2)
        cut = cuts.everything(home, server)
    with installation() as (home, _):
        crashed = chain.whole(home)
    say("\n".join(["", "schedules  " + schedules.figure(played), "kills      " + kills.figure(killed)]))
    say("cuts       " + cuts.figure(cut))
    say(f"tokens     {len(crashed)} outcomes are not as documented")
    sys.exit(
        any(
            [
                *crashed,
                *(each.wrong for each in played),
                *(each.wrong for each in killed),
                *(each.wrong for each in cut),
            ]
        )
    )


if __name__ == "__main__":
    main()
