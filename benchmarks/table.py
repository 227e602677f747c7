"""How are the rows shown: who cost what, the ratio, and is the target met?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.measure import BARE, COMPOSE, OURS, Row, Target

HEAD = ("benchmark", "ours", "compose", "bare calls", "ours : other", "target", "met")


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the table in Markdown, line by line, as rows come."""
    yield _line(HEAD)
    yield _line(["---"] * len(HEAD))
    for row in rows:
        yield _line(_cells(row))
        if row.note:
            yield _line([f"· {row.note}", *[""] * (len(HEAD) - 1)])


def is_met(row: Row, target: Target) -> bool:
    """Say whether ours costs no more than it may."""
    return _ratio(row, target) <= target.most


def _cells(row: Row) -> list[str]:
    ours, compose, bare = (_cost(row, side) for side in (OURS, COMPOSE, BARE))
    others = [side for side in (COMPOSE, BARE) if side in row.costs]
    ratios = ", ".join(f"{row.costs[OURS] / row.costs[side]:.2f} × {side}" for side in others)
    targets = ", ".join(_said(row, target) for target in row.targets) or "reported"
    met = ", ".join("yes" if is_met(row, target) else "no" for target in row.targets)
    return [row.name, ours, compose, bare, ratios, targets, met]


def _ratio(row: Row, target: Target) -> float:
    return row.costs[OURS] / (row.costs[target.of] if target.of else 1.0)


def _cost(row: Row, side: str) -> str:
    return f"{row.costs[side]:.3g} {row.unit}" if side in row.costs else ""


def _said(row: Row, target: Target) -> str:
    return f"≤ {target.most:g} × {target.of}" if target.of else f"≤ {target.most:g} {row.unit}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
