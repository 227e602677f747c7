"""What does the name of a lease's holder say: which container does it work in, or for which one is the lease meant?"""

from __future__ import annotations

import re

_CONTAINER = re.compile(r"\bcontainer=([0-9a-f]{12,64})\b")


def container_of(holder: str) -> str:
    """Return the id of the container that a holder works in, "" for none."""
    named = _CONTAINER.search(holder)
    return named[1] if named else ""


def within(container: str) -> str:
    """Return the part of a holder's name that says which container it works in."""
    return f"container={container}"


def heir(container: str) -> str:
    """Return the holder of a lease that its last holder passed on to whoever works in a container."""
    return f"the successor in {within(container)}"
