"""Which verb did the person say? Each verb is a module, imported when it is said."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from reconciler import __version__
from reconciler.errors import InvalidState, ReconcilerError

VERBS = {
    "validate": "check the repository, without engine or network",
    "config": "print a Compose project as docker compose config does",
    "plan": "show what would change, and why",
    "apply": "change it, until it is as Git asks",
    "run": "stay, and keep it as Git asks",
    "status": "say how it is: as Git wants it, and well?",
    "demo": "show all of it, live",
    "schema": "print the JSON Schemas of the files people write",
}
"""Verb -> what it does; the module of the same name holds `configure(parser)` and `run(args) -> int`."""

INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with 1 as every other failure does: 2 means `changes pending` here."""
        self.print_usage(sys.stderr)
        sys.stderr.write(f"error: {message}\n")
        sys.exit(1)


def main(words: Sequence[str]) -> int:
    """Run the verb the words name. Returns the exit code; raises SystemExit for usage and --help."""
    args = _parse(words)
    try:
        return _module(args.verb).run(args)
    except BrokenPipeError:
        # The reader went away (`reconciler plan | head`): not our error, and nothing can be printed any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except ReconcilerError as error:
        _complain(error)
        return 1


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="reconciler", description="GitOps for plain Docker.")
    parser.add_argument("--version", action="version", version=f"reconciler {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)
    said = next((word for word in words if not word.startswith("-")), "")
    for verb, purpose in VERBS.items():
        one = verbs.add_parser(verb, help=purpose, description=purpose.capitalize() + ".")
        if verb == said:
            _module(verb).configure(one)
    return parser.parse_args(words)


def _module(verb: str):  # type: ignore[no-untyped-def]
    return importlib.import_module(f"reconciler.cli.{verb}")


def _complain(error: ReconcilerError) -> None:
    """Print what is wrong on stderr: every problem of a wrong file, else one line, then what to do."""
    if isinstance(error, InvalidState):
        from reconciler.load.excerpt import render_problem

        sys.stderr.write("\n".join(render_problem(problem) for problem in error.problems) + "\n")
        return
    sys.stderr.write(f"error: {error}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
