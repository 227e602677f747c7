"""Print a Compose project as `docker compose config` does: `reconciler config`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.errors import Problem
    from reconciler.load.compose import ComposeRequest, Project
    from reconciler.ports import Files


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options, named as docker compose names them."""
    add = parser.add_argument
    add("-f", "--file", action="append", default=[], metavar="FILE", help="Compose file; later ones override")
    add("-p", "--project-name", metavar="NAME", help="project name")
    add("--project-directory", metavar="DIR", help="where relative paths start; the first file's directory by default")
    add("--env-file", action="append", default=[], metavar="FILE", help="variables, instead of .env")
    add("--profile", action="append", default=[], metavar="NAME", help="profile to enable; * for all")
    add("--format", choices=("yaml", "json"), default="yaml", help="format of the output")
    # A hash is taken of values.
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--no-interpolate", action="store_true", help="leave variables as they are written")
    either.add_argument("--hash", metavar="SERVICES", help="print the hash of each, separated by commas; * for all that are on")
    add("-q", "--quiet", action="store_true", help="only check")
    for kind in _LISTINGS:
        add(f"--{kind}", dest="listing", action="store_const", const=kind, help=f"print the {kind}, one a line")


def run(args: argparse.Namespace) -> int:
    """Print the project on stdout, warnings and problems on stderr. Returns 0, or 1 when Compose would refuse it."""
    from reconciler.errors import InvalidState
    from reconciler.load.compose import load_as_written, load_project
    from reconciler.wiring import whole_machine

    standing = Path.cwd()
    files = whole_machine()
    try:
        load = load_as_written if args.no_interpolate else load_project
        project = load(files, request_of(args, standing, os.environ))
    except InvalidState as invalid:
        _complain(invalid.problems, files, standing)
        return 1
    _complain(project.warnings, files, standing)
    if args.hash:
        sys.stdout.write(hashes(project, args.hash))
    elif not args.quiet:
        sys.stdout.write(printed(project, args.format, args.listing, interpolated=not args.no_interpolate))
    return 0


def request_of(args: argparse.Namespace, standing: Path, environment: Mapping[str, str]) -> ComposeRequest:
    """Return what the options ask for, seen from the directory the command stands in."""
    from reconciler.load.compose import ComposeRequest

    def paths(given: Iterable[str]) -> tuple[str, ...]:
        return tuple(os.path.join(standing, path) for path in given)

    return ComposeRequest(
        directory=str(standing),
        files=paths(args.file),
        project_directory=os.path.join(standing, args.project_directory) if args.project_directory else None,
        name=args.project_name,
        # Who names a service means it, whichever profiles are on.
        profiles=tuple(args.profile) if args.hash in (None, "*") else ("*",),
        environment={"PWD": str(standing), **environment},
        env_files=paths(args.env_file),
        home=environment.get("HOME"),
    )


def printed(project: Project, kind: str, listing: str | None, *, interpolated: bool = True) -> str:
    """Return the text to print. Where variables were replaced, a `$` is doubled, so that Compose reads it as it stands."""
    if listing:
        return "".join(f"{line}\n" for line in _LISTINGS[listing](project))
    from reconciler.load.printed import json_document, sorted_yaml, yaml_text

    if not interpolated:
        return _json(project.document) if kind == "json" else sorted_yaml(project.document)
    text = _json(json_document(project)) if kind == "json" else yaml_text(project)
    return text.replace("$", "$$")


def hashes(project: Project, wanted: str) -> str:
    """Return a line for each service: its name and its hash. Raises UsageError for a service that is not there."""
    from reconciler.errors import UsageError
    from reconciler.load.service_hash import service_hashes

    known = service_hashes(project)
    names = sorted(known if wanted == "*" else wanted.split(","))
    if missing := [name for name in names if name not in known]:
        raise UsageError(f"no such service: {', '.join(missing)}", hint=f"there are {', '.join(sorted(known))}")
    return "".join(f"{name} {known[name]}\n" for name in names)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _complain(problems: Iterable[Problem], files: Files, standing: Path) -> None:
    from reconciler.load.excerpt import render_problem, with_excerpts

    for problem in with_excerpts(problems, files):
        print(render_problem(_seen_from(standing, problem)), file=sys.stderr)


def _seen_from(standing: Path, problem: Problem) -> Problem:
    """Files are known by their path from `/`; people know them by the path from where they stand."""
    if problem.mark is None:
        return problem
    path = os.path.relpath(f"/{problem.mark.path}", standing)
    return replace(problem, mark=replace(problem.mark, path=path))


def _services(project: Project) -> list[str]:
    return sorted(project.document["services"])


def _images(project: Project) -> list[str]:
    services: Mapping[str, Mapping[str, Any]] = project.document["services"]
    return [services[name].get("image", f"{project.name}-{name}") for name in sorted(services)]


def _profiles(project: Project) -> tuple[str, ...]:
    return project.profiles


def _resources(kind: str) -> Callable[[Project], Iterable[str]]:
    return lambda project: sorted(project.document.get(kind, {}))


_LISTINGS: Mapping[str, Callable[[Project], Iterable[str]]] = {
    "services": _services,
    "volumes": _resources("volumes"),
    "networks": _resources("networks"),
    "images": _images,
    "profiles": _profiles,
}
