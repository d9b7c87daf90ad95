"""Prints the figures of all runs as tables for docs/performance.md."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any


def of_each_processor(runs: Sequence[dict[str, Any]], shares: Sequence[float]) -> Iterator[str]:
    """Yield a table for each kind of processor.

    Args:
        runs: the figures of all runs.
        shares: fractions of a server's highest rate at which images were sent without waiting for answers.
    """
    for processor in dict.fromkeys(run["processor"] for run in runs):
        yield f"{processor}\n\n{table([run for run in runs if run['processor'] == processor], shares)}"


def table(runs: Sequence[dict[str, Any]], shares: Sequence[float]) -> str:
    """A table of medians; each server is compared to this service with its usual engine in the same run."""
    rows: dict[str, list[dict[str, float]]] = {}
    for one in runs:
        figures = {server: found for server, found in one["figures"].items() if "/" in server}
        usual = next(iter(figures))
        rate = statistics.mean(figure["images_per_second"] for figure in figures[usual])
        for server in figures:
            found = ({**figure, "ratio": rate / figure["images_per_second"]} for figure in figures[server])
            rows.setdefault(server, []).extend(found)
    lines = ["| server/engine | images/s | p50 | p95 | p99 | one alone | this service reads |", "|---" * 7 + "|"]
    for server, found in rows.items():
        columns = ("images_per_second", "p50", "p95", "p99", "idle", "ratio")
        rate_reached, *seconds, ratio = (statistics.median(figure[column] for figure in found) for column in columns)
        times = "" if server == usual else f"{ratio:.2f} × as many"
        lines.append(f"| {server} | {rate_reached:.1f} | {' | '.join(f'{one:.2f} s' for one in seconds)} | {times} |")
    at_rates = {server: [one for one in found if f"p50 at {shares[0]}" in one] for server, found in rows.items()}
    if any(at_rates.values()):
        lines += [
            "",
            f"| p50, p95, p99 | {' | '.join(f'at {share} of its rate' for share in shares)} |",
            "|---" * 5 + "|",
        ]
        lines += [_at_rates(server, found, shares) for server, found in at_rates.items() if found]
    kills = [lost for one in runs for lost in one["figures"].get("celery, killed", ())]
    lines += [f"Killed, plain Celery did not answer {lost['not_answered']} of {lost['sent']}" for lost in kills]
    return "\n".join(lines)


def _at_rates(server: str, found: Sequence[dict[str, float]], shares: Sequence[float]) -> str:
    def median(name: str) -> float:
        return statistics.median(one[name] for one in found)

    cells = [", ".join(f"{median(f'{name} at {share}'):.2f} s" for name in ("p50", "p95", "p99")) for share in shares]
    return f"| {server} | {' | '.join(cells)} |"
