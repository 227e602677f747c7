"""How does a test wait for what a real engine, process or socket does when it likes?"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

LOOK_AGAIN_SECONDS = 0.05


def until(holds: Callable[[], object], what: str | Callable[[], str], seconds: float = 30.0) -> None:
    """Look on until it holds; fail when that takes longer. `what` may be found out only then."""
    deadline, pulse = time.monotonic() + seconds, threading.Event()
    while not holds():
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        pulse.wait(LOOK_AGAIN_SECONDS)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port on which nobody listens at present."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])
