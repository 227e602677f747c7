"""What does the engine answer when it says no?"""

from __future__ import annotations


class EngineError(Exception):
    """An answer of the engine's API that is no success: HTTP status and message, as Docker 20.10 words it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
