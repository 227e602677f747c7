"""How does a text become one that may be shown?"""

from __future__ import annotations

from collections.abc import Iterable

MASK = "***"

SHORTEST_SECRET = 4
"""Shorter values are words of ordinary messages: to mask them would hide the message, not a secret."""


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return the text with every secret in it replaced, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return text
