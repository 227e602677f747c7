"""Is the repository all right? Asks no engine, and no network for a directory: `reconciler validate`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_place, place_of
from reconciler.cli.printing import say
from reconciler.cli.problems import FORMATS, counted
from reconciler.errors import InvalidState

if TYPE_CHECKING:
    from reconciler.model.desired import DesiredState
    from reconciler.wiring import Workplace


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_place(parser, engine=False)
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing but errors")
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="how problems are written (default: text)")


def run(args: argparse.Namespace) -> int:
    """Print every error and warning, then one line that sums them up. Returns 1 when there is an error."""
    try:
        desired = _loaded(place_of(args))
    except InvalidState as error:
        say(FORMATS[args.format](error.problems, counted(error.problems)))
        return 1
    if not args.quiet:
        summary = f"{_described(desired)}: {counted(desired.warnings)}"
        say(FORMATS[args.format](desired.warnings, summary))
    return 0


def _loaded(place: Workplace) -> DesiredState:
    from reconciler.load.certificate import expired

    source = place.source()
    revision = source.fetch()
    desired = place.load()(source.files(revision.id), revision)
    if outdated := tuple(expired(desired, place.clock().now())):
        raise InvalidState(outdated)
    return desired


def _described(desired: DesiredState) -> str:
    """The gateway's stack stands in no file that could be wrong."""
    from reconciler.model.desired import GATEWAY_STACK

    stacks = [stack for stack in desired.stacks if stack.name != GATEWAY_STACK]
    services = sum(len(stack.services) for stack in stacks)
    return f"{desired.environment.name}, {_many(len(stacks), 'stack')}, {_many(services, 'service')}"


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
