"""Which commit does the branch point at, and which files does it hold?

source.py       the Source port: fetch, files, revision, between, keep
writer.py       the Writer port: fetch, make the files again, commit, push, confirm
working_copy.py commits of a clone that somebody else keeps
clone.py        the bare clone on disk: locked, bounded, made anew when damaged
objects.py      commits, trees and blobs, read from the clone without a checkout
process.py      one run of git, within its bounds
environment.py  what git may see: its settings, and the credentials of one remote
faults.py       what git complained about, and who acts on it
"""

from __future__ import annotations

from reconciler.drivers.git.clone import Limits
from reconciler.drivers.git.environment import Credentials
from reconciler.drivers.git.source import GitSource
from reconciler.drivers.git.working_copy import WorkingCopy
from reconciler.drivers.git.writer import GitWriter, Hand

__all__ = ["Credentials", "GitSource", "GitWriter", "Hand", "Limits", "WorkingCopy"]
