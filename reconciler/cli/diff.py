"""Where does what runs differ from Git, and in which line? `reconciler diff`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from reconciler.cli.place import configure_place, place_of
from reconciler.cli.printing import say
from reconciler.cli.problems import complain
from reconciler.cli.sight import Lookout
from reconciler.errors import Refused

if TYPE_CHECKING:
    from reconciler.plan.contrast import Contrast

DIFFERENT = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_place(parser)
    parser.add_argument("--exit-code", action="store_true", help="0 nothing differs, 2 something does, 1 error")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    """Compare with the newest revision field by field, also what a plan leaves alone for now. Raises what is away."""
    found = look(Lookout(place_of(args)))
    say(json.dumps([_data(one) for one in found], indent=2, ensure_ascii=False) + "\n" if args.json else printed(found))
    return DIFFERENT if found and args.exit_code else 0


def look(lookout: Lookout) -> tuple[Contrast, ...]:
    """Return what differs now. Where Git does not answer it is the newest revision that was read, and that is said."""
    from reconciler.observe import observe
    from reconciler.plan.contrast import contrasts, released
    from reconciler.plan.windows import without_windows

    history = lookout.store.history()
    desired, trouble = lookout.desired(history)
    if desired is None:
        raise trouble or Refused("there is no revision to compare with")
    if trouble is not None:
        complain(trouble)
    desired = without_windows(desired)
    return contrasts(desired, observe(lookout.runtime(), desired, released(history, desired)), history)


def printed(found: Iterable[Contrast]) -> str:
    """Return the differences as people read them: what runs → what Git asks, and where it says so."""
    return "".join(f"{line}\n" for one in found for line in _lines(one)) or "Nothing differs.\n"


def _lines(one: Contrast) -> Iterator[str]:
    from reconciler.plan.render import reason_text

    yield f"{one.key}   {one.source}" if one.source else one.key
    for alike in one.differing:
        yield f"  ~ {', '.join(alike.names)}"
        width = max((len(reason.text) for reason in alike.reasons if reason.old or reason.new), default=0)
        yield from (f"      {reason_text(reason, width)}" for reason in alike.reasons)
    if one.lacking:
        yield f"  + {', '.join(one.lacking)}   asked for, not there"
    if one.surplus:
        yield f"  - {', '.join(one.surplus)}   there, not asked for"


def _data(one: Contrast) -> dict[str, Any]:
    differing = [
        {
            "names": list(alike.names),
            "fields": [
                {"field": reason.text, "runs": reason.old, "git": reason.new, "source": str(reason.source or "")}
                for reason in alike.reasons
            ],
        }
        for alike in one.differing
    ]
    source = str(one.source or "")
    return {
        "key": one.key,
        "source": source,
        "differing": differing,
        "lacking": list(one.lacking),
        "surplus": list(one.surplus),
    }
