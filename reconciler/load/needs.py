"""Who comes first when names need each other, and which of them wait in a circle?"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

# More circles than this in one graph are one mistake seen from many sides.
MOST_CYCLES = 10


def in_order(needs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return the names with needs first, ties by name; needs that are no key are left out. Raises CycleError."""
    sorter = TopologicalSorter(_known(needs))
    sorter.prepare()
    ordered: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, name)
        ordered.append(heapq.heappop(ready))
        sorter.done(ordered[-1])
    return tuple(ordered)


def cycles(needs: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Return circles of names, each needing the next and the last the first, begun at the first by the alphabet.

    Enough of them to break every circle by breaking these, at most MOST_CYCLES.
    """
    graph = _known(needs)
    found: list[tuple[str, ...]] = []
    while len(found) < MOST_CYCLES and (cycle := _cycle(graph)):
        found.append(cycle)
        graph[cycle[-1]].remove(cycle[0])
    return tuple(found)


def _known(needs: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    return {name: sorted({wanted for wanted in needs[name] if wanted in needs}) for name in sorted(needs)}


def _cycle(graph: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # graphlib lists predecessors first and the first one twice.
        cycle = tuple(reversed(error.args[1]))[:-1]
        start = cycle.index(min(cycle))
        return cycle[start:] + cycle[:start]
    return ()
