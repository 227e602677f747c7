"""How is an apply going? A line for each action that ends and each wait that begins; on a terminal also what goes on, live."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from reconciler.cli.printing import say
from reconciler.load.text import printable
from reconciler.plan.render import SYMBOLS, verb_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from reconciler.model.plan import Action, Waiting
    from reconciler.model.status import Outcome


class Progress(Protocol):
    """Whom an apply tells how it goes. Everything is written to stderr."""

    def __call__(self, action: Action, outcome: Outcome | None) -> None:
        """Hear that an action begins (None) or ends."""

    def wait(self, waiting: tuple[Waiting, ...]) -> None:
        """Hear what a turn left for later."""


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """Give whom to tell: nobody, a terminal, or a log."""
    if quiet:
        yield _Nobody()
    elif sys.stderr.isatty() and sys.stdout.isatty():
        with _on_terminal() as told:
            yield told
    else:
        yield _Log()


class _Nobody:
    def __call__(self, action: Action, outcome: Outcome | None) -> None:
        """Say nothing."""

    def wait(self, waiting: tuple[Waiting, ...]) -> None:
        """Say nothing."""


class _Log:
    def __init__(self) -> None:
        self._waiting: frozenset[str] = frozenset()

    def __call__(self, action: Action, outcome: Outcome | None) -> None:
        if outcome is not None and not outcome.skipped:
            self._write(_ended(action, outcome))

    def wait(self, waiting: tuple[Waiting, ...]) -> None:
        """Say what is waited for, once as long as it lasts."""
        now = dict.fromkeys(map(_waits, waiting))
        for line in now:
            if line not in self._waiting:
                self._write(f"  … {line}")
        self._waiting = frozenset(now)

    def _write(self, line: str) -> None:
        say(f"{line}\n", sys.stderr)


class _Terminal:
    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live
        self._flying: dict[str, Action] = {}

    def __call__(self, action: Action, outcome: Outcome | None) -> None:
        from rich.text import Text

        if outcome is None:
            self._flying[action.id] = action
        else:
            self._flying.pop(action.id, None)
            if not outcome.skipped:
                self._console.print(Text(_ended(action, outcome), style="red" if outcome.error else ""))
        self._show(", ".join(f"{verb_of(one.change)} {one.id.rpartition('/')[0]}" for one in self._flying.values()))

    def wait(self, waiting: tuple[Waiting, ...]) -> None:
        """Show what is waited for as long as nothing is in flight."""
        if not self._flying:
            self._show("; ".join(dict.fromkeys(map(_waits, waiting))))

    def _show(self, going_on: str) -> None:
        from rich.spinner import Spinner
        from rich.text import Text

        line = Text(f" {going_on}", no_wrap=True, overflow="ellipsis")
        self._live.update(Spinner("line", line) if going_on else Text(""))


@contextmanager
def _on_terminal() -> Iterator[_Terminal]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    with Live(console=console, transient=True, refresh_per_second=8) as live:
        yield _Terminal(console, live)


def _ended(action: Action, outcome: Outcome) -> str:
    mark = "failed" if outcome.error else f"{outcome.seconds:.1f} s"
    said = f"  {SYMBOLS[action.verb]} {action.id:<40} {verb_of(action.change):<18} {mark}"
    return f"{said}: {printable(outcome.error)}" if outcome.error else said


def _waits(waiting: Waiting) -> str:
    return f"{waiting.group} waits until {waiting.on}"
