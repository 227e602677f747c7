"""The options that say where a verb works: source, branch, path, state, operator's file, engine."""

from __future__ import annotations

import argparse

from reconciler.wiring import Workplace, workplace


def configure_place(parser: argparse.ArgumentParser, *, engine: bool = True, source: bool = True) -> None:
    """Add the options that a verb which reads desired state takes."""
    if source:
        parser.add_argument("source", nargs="?", metavar="SOURCE", help="directory (default: .) or Git address")
    parser.add_argument("--branch", metavar="NAME", help="branch of a Git source (default: main)")
    parser.add_argument("--path", metavar="DIR", help="directory inside the source")
    parser.add_argument("--state", metavar="DIR", help="state directory (RECONCILER_STATE)")
    parser.add_argument("--operator", metavar="FILE", help="the operator's file (RECONCILER_OPERATOR)")
    if engine:
        parser.add_argument("--engine", metavar="HOST", help="Docker engine (default: as docker finds it)")


def place_of(args: argparse.Namespace) -> Workplace:
    """Return the workplace that the parsed options name."""
    return workplace(vars(args))
