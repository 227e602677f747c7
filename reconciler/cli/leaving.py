"""How does a verb that works for long end in time, whoever asks for it and whatever hangs?"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import NoReturn

GRACE_SECONDS = 9.0
"""A call that hangs must not keep a service manager waiting: nothing is lost by leaving it."""


def on_signals(end: Callable[[], object], code: int) -> None:
    """Have SIGTERM and SIGINT call `end`, once. The second of them leaves at once, and what hangs is left after the grace."""
    told = False

    def obey(number: int, _frame: object) -> None:
        nonlocal told
        if told:
            os._exit(128 + number)
        told = True
        leave_within(GRACE_SECONDS, code)
        end()

    signal.signal(signal.SIGTERM, obey)
    signal.signal(signal.SIGINT, obey)


def interrupt() -> NoReturn:
    """End like Ctrl-C does: what is under way is tidied up on the way out."""
    raise KeyboardInterrupt


def leave_within(seconds: float, code: int) -> None:
    """End the process after so long, if it has not come to its end by itself: threads of hanging calls would keep it."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()
