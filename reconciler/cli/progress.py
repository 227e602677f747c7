"""How is an apply going? One line for each action that ends; on a terminal also what is in flight, live."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.plan.render import SYMBOLS, verb_of

if TYPE_CHECKING:
    from reconciler.apply import Progress
    from reconciler.model.plan import Action
    from reconciler.model.status import Outcome


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """Give what an Applier calls when an action begins and ends. Everything goes to stderr."""
    if quiet:
        yield lambda action, outcome: None
    elif sys.stderr.isatty() and sys.stdout.isatty():
        with _live() as told:
            yield told
    else:
        yield _tell


def _tell(action: Action, outcome: Outcome | None) -> None:
    if outcome is not None and not outcome.skipped:
        sys.stderr.write(f"{_line(action, outcome)}\n")
        sys.stderr.flush()


def _line(action: Action, outcome: Outcome) -> str:
    mark = "failed" if outcome.error else f"{outcome.seconds:.1f} s"
    said = f"  {SYMBOLS[action.verb]} {action.id:<40} {verb_of(action.change):<18} {mark}"
    return f"{said}: {outcome.error}" if outcome.error else said


@contextmanager
def _live() -> Iterator[Progress]:
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    flying: dict[str, Action] = {}
    with Live(console=console, transient=True, refresh_per_second=8) as live:

        def tell(action: Action, outcome: Outcome | None) -> None:
            if outcome is None:
                flying[action.id] = action
            else:
                flying.pop(action.id, None)
                if not outcome.skipped:
                    console.print(Text(_line(action, outcome), style="red" if outcome.error else ""))
            names = ", ".join(f"{verb_of(one.change)} {one.id.rpartition('/')[0]}" for one in flying.values())
            live.update(Spinner("line", Text(f" {names}")) if names else Text(""))

        yield tell
