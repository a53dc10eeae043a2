"""The table of a campaign."""

from tests.campaign.abuse import RowResult
from tests.campaign.fuzz import FuzzResult
from tests.campaign.replicas import ReplicasResult
from tests.campaign.videos import VideosResult

HEAD = f"{'row':<36}{'client':>8}{'requests':>9}{'p99 s':>7}{'refused':>8}{'peak MiB':>9}{'exit s':>7}  what does not hold"


def row_lines(result: RowResult) -> list[str]:
    """Return the lines of a row: the good client of the same address, and that of another one."""
    name, faults = result.row.name, "; ".join(result.faults)
    lines = []
    for address, served in (("same", result.same), ("other", result.other)):
        figures = f"{served.count:>9}{served.p99:>7.2f}{served.refused:>8}"
        ending = f"{result.peak:>9.0f}{result.seconds:>7.1f}  {faults}" if address == "same" else ""
        lines.append(f"{name if address == 'same' else '':<36}{address:>8}{figures}{ending}".rstrip())
    return lines


def fuzz_lines(result: FuzzResult) -> list[str]:
    """Return the lines of the damaged requests."""
    slope = "not measured" if result.slope is None else f"{result.slope:+.3f} MiB"
    statuses: dict[str, int] = {}
    for outcome, count in result.outcomes.items():
        status = outcome.partition(" ")[2]
        statuses[status] = statuses.get(status, 0) + count
    return [
        f"damaged requests: {result.count:,} of {result.wanted:,} in {result.seconds:.0f} s, "
        f"peak {result.peak:.0f} MiB, per 1,000 requests {slope}; {dict(sorted(statuses.items()))}",
        *result.faults,
    ]


def videos_lines(result: VideosResult, wanted: int) -> list[str]:
    """Return the lines of the damaged videos."""
    return [
        f"damaged videos: {result.count:,} of {wanted:,}, peak of the child {result.peak:.0f} MiB, "
        f"{result.ended} children ended; {dict(result.outcomes)}",
        *result.faults,
    ]


def replicas_lines(result: ReplicasResult) -> list[str]:
    """Return the lines of the killed replica."""
    return [f"a killed replica: answers by status {result.statuses} (0 is lost)", *result.faults]
