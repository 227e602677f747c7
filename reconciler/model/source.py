"""Which state of the repository is meant?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of the repository: a commit, or a plain directory as it stood. Its files are asked from the source.

    id       the full commit id, or a hash of the content for a directory; equal ids mean equal files
    ref      the branch it was found on; "directory" for a directory, "" when it was asked for by id
    at       when it was committed (UTC)
    author   "Name <address>", without control characters; "" when unknown
    subject  the first line of the commit message, without control characters
    """

    id: str
    ref: str
    at: datetime
    author: str = ""
    subject: str = ""

    @property
    def short(self) -> str:
        """The id as people say it."""
        return self.id[:7]
