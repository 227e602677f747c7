"""Which verb did the person say? Each verb is a module, imported when it is said."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol, cast

from reconciler import __version__
from reconciler.errors import ReconcilerError

VERBS = {
    "validate": "check the repository, without engine or network",
    "config": "print a Compose project as docker compose config does",
    "plan": "show what would change, and why",
    "apply": "change it, until it is as Git asks",
    "run": "stay, and keep it as Git asks",
    "status": "say how it is: as Git wants it, and well?",
    "diff": "show where what runs differs from Git, line by line",
    "explain": "say why a service is as it is: from the commit to the container",
    "history": "list what was done when, or what ran at a time",
    "audit": "print who had what done, or check that nobody changed the record",
    "logs": "print what the containers of a service wrote",
    "retry": "let a version that failed be tried again",
    "suspend": "leave a stack, a service or everything alone for a while",
    "resume": "go on with what was suspended",
    "rollback": "go back to the version before, at once and in Git",
    "rollout": "show how far a new version is, and tell it to go on or not",
    "scale": "commit how many replicas a service has",
    "adopt": "take over what docker compose started, as it runs",
    "init": "write a repository from what runs",
    "health": "say whether the resident reconciler is well",
    "schema": "print the JSON Schemas of the files people write",
    "docs": "print the documentation",
    "completion": "print the completion script for a shell",
    "demo": "show all of it, live",
}
"""Verb -> what it does; the module of the same name is a Verb."""

FAILED, INTERRUPTED = 1, 130
DEBUG = "RECONCILER_DEBUG"


class Verb(Protocol):
    """What each module of this package offers."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it. Returns the exit code; raises ReconcilerError for what a person or a neighbour did."""


class Parser(argparse.ArgumentParser):
    """Every usage error exits with 1, as each other failure does: 2 means `changes pending` here."""

    _intermixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Let a verb's words stand before, between and after its options."""
        if self._intermixing or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._intermixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixing = False

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line, and how it should be."""
        self.print_usage(sys.stderr)
        sys.stderr.write(f"error: {message}\n")
        sys.exit(FAILED)


def main(words: Sequence[str]) -> int:
    """Run the verb the words name. Returns the exit code; raises SystemExit for usage errors and --help."""
    args = parser_for(next((word for word in words if not word.startswith("-")), "")).parse_args(words)
    try:
        return verb_module(args.verb).run(args)
    except BrokenPipeError:
        # The reader went away (`reconciler plan | head`): not our error, and nothing can be printed any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except ReconcilerError as error:
        from reconciler.cli.problems import complain

        complain(error)
        return FAILED
    except Exception as bug:
        if os.environ.get(DEBUG):
            raise
        sys.stderr.write(_confession(bug))
        return FAILED


def parser_for(*verbs: str) -> Parser:
    """Return the parser; only the named verbs know their options, so that only their modules are imported."""
    parser = Parser(prog="reconciler", description="GitOps for plain Docker.")
    parser.add_argument("--version", action="version", version=f"reconciler {__version__}")
    known = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for verb, purpose in VERBS.items():
        one = known.add_parser(verb, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
        if verb in verbs:
            verb_module(verb).configure(one)
    return parser


def verb_module(verb: str) -> Verb:
    """Import a verb."""
    return cast(Verb, importlib.import_module(f"reconciler.cli.{verb}"))


def _confession(bug: Exception) -> str:
    """Name the kind and the place only: what an unforeseen message holds nobody has checked for secrets."""
    trace = bug.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else ""
    hint = f"please report it, with what the same command prints under {DEBUG}=1"
    return f"error: this is a bug in reconciler: {type(bug).__name__}{place}\nhint: {hint}\n"
