"""How is it: as Git wants it, and well? `reconciler status`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_place, look_at, place_of

if TYPE_CHECKING:
    from reconciler.model.status import StackStatus
    from reconciler.wiring import Workplace


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_place(parser)
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    """Ask the engine now and compare with Git. Returns 0."""
    stacks = _stacks(place_of(args))
    if args.json:
        sys.stdout.write(json.dumps([asdict(stack) for stack in stacks], default=str, indent=2) + "\n")
        return 0
    for stack in stacks:
        sys.stdout.write(f"{stack.name}  {stack.sync} {stack.health}\n")
        for one in stack.services:
            message = f"  {one.message}" if one.message else ""
            sys.stdout.write(
                f"  {one.name:<16} {one.ready}/{one.wanted}  {one.sync:<10} {one.health:<12} {one.image}{message}\n"
            )
    return 0


def _stacks(place: Workplace) -> tuple[StackStatus, ...]:
    from reconciler.plan.status import stacks_status

    look = look_at(place)
    return stacks_status(look.plan, look.desired, look.observed, look.history, look.previous)
