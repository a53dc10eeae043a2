"""Run the campaign: `make campaign`, or `python -m tests.campaign --rows 'idle heads' --bodies 0 --videos 0`.

It ends with status 1 if anything does not hold.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.campaign import report
from tests.campaign.abuse import run_row
from tests.campaign.fuzz import fuzz
from tests.campaign.replicas import kill_a_replica
from tests.campaign.rows import ROWS
from tests.campaign.rows.row import Row
from tests.campaign.videos import read_videos

_VIDEO_SECONDS = 90.0
_LAST_SECONDS = 15.0  # what the end of the last part may take


def main() -> None:
    """Run the program."""
    arguments = _arguments()
    until = time.monotonic() + 60 * arguments.minutes
    holds = True
    print(report.HEAD, flush=True)
    for row in _rows(arguments.rows):
        result = run_row(row, arguments.row_seconds)
        holds &= not result.faults
        _print(report.row_lines(result))
    if arguments.rows is None:
        killed = kill_a_replica()
        holds &= not killed.faults
        _print(report.replicas_lines(killed))
    if arguments.videos:
        with tempfile.TemporaryDirectory() as folder:
            videos = read_videos(Path(folder), arguments.seed, arguments.videos, _VIDEO_SECONDS)
        holds &= not videos.faults
        _print(report.videos_lines(videos, arguments.videos))
    if arguments.bodies:
        requests = fuzz(arguments.seed, arguments.bodies, until - time.monotonic() - _LAST_SECONDS)
        holds &= not requests.faults
        _print(report.fuzz_lines(requests))
    print("everything holds" if holds else "NOT EVERYTHING HOLDS")
    sys.exit(not holds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0, help="Time for everything.")
    parser.add_argument("--rows", help="Rows whose names contain this; all and the killed replica by default.")
    parser.add_argument("--row-seconds", type=float, default=5.0, help="Seconds per row and good client.")
    parser.add_argument("--bodies", type=int, default=100_000, help="Number of damaged requests.")
    parser.add_argument("--videos", type=int, default=2000, help="Number of damaged videos.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the damage.")
    return parser.parse_args()


def _rows(name: str | None) -> list[Row]:
    return [row for row in ROWS if (name or "") in row.name]


def _print(lines: list[str]) -> None:
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
