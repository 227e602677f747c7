"""Which whole-number weights give a new set its share?"""

from __future__ import annotations

from reconciler.model.traffic import HEAVIEST
from reconciler.plan.traffic.names import FULL


def weights(share: int, new: int, old: int) -> tuple[int, int]:
    """Return the weight of each new and of each old server, so that the new ones together get `share` per cent.

    `new` and `old` are how many servers there are. Of all pairs from 1 to 256 the one that comes nearest counts, and of
    equally near ones the lightest. A set of which there is nobody gets nothing, and leaves all to the other one.
    """
    if share <= 0 or not new:
        return (0, FULL) if old else (FULL, 0)
    if share >= 100 or not old:
        return FULL, 0
    pairs = ((_fitting(share, new, old, weight), weight) for weight in range(1, HEAVIEST + 1))
    return min(pairs, key=lambda pair: (abs(_share(pair[0] * new, pair[1] * old) - share), sum(pair)))


def _fitting(share: int, new: int, old: int, weight: int) -> int:
    return min(HEAVIEST, max(1, round(share * old * weight / ((100 - share) * new))))


def _share(new: int, old: int) -> float:
    return 100 * new / (new + old)
