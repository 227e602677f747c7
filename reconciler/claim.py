"""May this process change the environment, or does somebody else hold its lease?"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import socket
from dataclasses import replace
from pathlib import Path

from reconciler.audit import Ledger
from reconciler.errors import ReconcilerError, Refused
from reconciler.model.holder import container_of, within
from reconciler.ports import Clock, Lease, Runtime

LEASE_SECONDS = 60.0
RENEW_SECONDS = LEASE_SECONDS / 3
"""How often a holder must ask again to be sure of it: two requests may be lost."""

_PROCESS = re.compile(r" process=(?P<view>\w+)\.(?P<id>\d+)\.(?P<began>\d+)\b")


class Claim:
    """Our side of the lease of one environment on one engine. The ledger hears when it is taken over, and when it is lost."""

    def __init__(self, runtime: Runtime, clock: Clock, holder: str, ledger: Ledger) -> None:
        self.holder = holder
        self._runtime = runtime
        self._clock = clock
        self._ledger = ledger
        self._environment = ""
        self._held = False

    def held_by_other(self, environment: str) -> Lease | None:
        """Take or renew the lease; return it when somebody else has it. Raises Unreachable: then nobody knows."""
        self._environment = environment
        lease = self._ask()
        if lease.holder != self.holder and has_ended(lease.holder, self.holder):
            # Nobody is left to give it back or to renew it, so nobody need wait for its end.
            self._runtime.release_lease(environment, lease.holder)
            lease = replace(self._ask(), before=lease.holder)
        self._note(lease)
        return lease if lease.holder != self.holder else None

    def take(self, environment: str) -> None:
        """Take or renew the lease. Raises Refused when somebody else has it, saying who and until when."""
        if lease := self.held_by_other(environment):
            hint = f"it watches {environment} already: push to Git, or stop it; a lease left behind ends by itself"
            raise Refused(f"{lease.holder} holds the lease of {environment} until {lease.expires:%H:%M:%S} UTC", hint=hint)

    def release(self) -> None:
        """Give the lease back, if it is ours. When the engine does not answer it ends by itself."""
        if self._environment:
            with contextlib.suppress(ReconcilerError):
                self._runtime.release_lease(self._environment, self.holder)
        self._held = False

    def _note(self, lease: Lease) -> None:
        """Write down what nobody gave back: from whom we took it, or who has it in our stead."""
        ours = lease.holder == self.holder
        if ours and lease.before:
            self._ledger.lease("taken over", self.holder, f"from {lease.before}")
        elif self._held and not ours:
            self._ledger.lease("lost", self.holder, f"to {lease.holder}, until {lease.expires:%Y-%m-%d %H:%M:%S} UTC")
        self._held = ours

    def _ask(self) -> Lease:
        return self._runtime.claim_lease(self._environment, self.holder, self._clock.now(), LEASE_SECONDS)


def holder_name(container: str = "") -> str:
    """Return who we are, as the lease says it: host, process, a random part; then, for those who may take it over, which
    process exactly (where /proc says it), and the container we run in ("" for none).
    """
    inside = f" {within(container)}" if container else ""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}{_exactly()}{inside}"


def has_ended(holder: str, watcher: str) -> bool:
    """Say whether a holder was a process that the watcher, another holder, would see, and that is not there any more.

    Seen are the processes of the same boot of the same machine in the same namespace: host names say less, as two
    machines or containers may share one.
    """
    theirs, ours = _PROCESS.search(holder), _PROCESS.search(watcher)
    if theirs is None or ours is None:
        return False
    if theirs["view"] != ours["view"]:
        # A container has a namespace of its own, and another one each time that it is started.
        return container_of(holder) == container_of(watcher) != ""
    return not _lives(int(theirs["id"]), theirs["began"])


def _exactly() -> str:
    view, began = _view(), _began(os.getpid())
    return f" process={view}.{os.getpid()}.{began}" if view and began else ""


def _view() -> str:
    """Return what is common to all processes that see one another, "" where nothing says it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        return hashlib.sha256(f"{boot} {os.readlink('/proc/self/ns/pid')}".encode()).hexdigest()[:12]
    except OSError:
        return ""


def _lives(process: int, began: str) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # It is there, and somebody else's.
    # Where /proc hides other people's processes, nobody knows that this is another one.
    return _began(process) in ("", began)


def _began(process: int) -> str:
    """Return when a process began, in clock ticks since the boot: its number may be given again.

    "" where that cannot be read, "0" for one that has ended and is only not buried yet.
    """
    try:
        # The name in brackets may hold anything, brackets too.
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "0" if state in "XZ" else fields[18]
