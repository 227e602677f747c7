"""Write a repository from what runs: `reconciler init`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli import FAILED
from reconciler.cli.place import place_of
from reconciler.cli.printing import say
from reconciler.cli.problems import complain_of
from reconciler.errors import InvalidState, Refused, UsageError
from reconciler.ports import Depth

if TYPE_CHECKING:
    from reconciler.load.recover import Recovered
    from reconciler.model.observed import ObservedState
    from reconciler.ports import Runtime
    from reconciler.wiring import Workplace


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add = parser.add_argument
    add("directory", nargs="?", default=".", metavar="DIRECTORY", help="where to write it (default: .)")
    add("--project", action="append", default=[], metavar="NAME", help="only this Compose project; may be said again")
    add("--name", default="", metavar="NAME", help="name of the environment (default: the directory's)")
    add("--secrets", metavar="FILE", help="write the values of what looks secret there, as an operator's file")
    add("--engine", metavar="HOST", help="Docker engine (default: as docker finds it)")


def run(args: argparse.Namespace) -> int:
    """Write the files, none of them over another. Returns 0 when `plan` can read them, 1 when they need a hand first."""
    args.source, args.path = args.directory, ""
    directory, place = Path(args.directory), place_of(args)
    secrets = _apart(Path(args.secrets), directory) if args.secrets else None
    name = args.name or _name(directory)
    found = recovered(place.runtime(), name, args.project)
    files = repository(name, found)
    _require_free(directory, files)
    if secrets:
        _write_secrets(secrets, found)
    _write(directory, files)
    say("".join(f"{line}\n" for line in _told(directory, files, found, secrets)))
    complain_notes(found)
    return _checked(place, found)


def recovered(runtime: Runtime, environment: str, projects: Iterable[str] = ()) -> tuple[Recovered, ...]:
    """Return the projects as files. Raises UsageError for one that does not run, or when there is none at all."""
    from reconciler.load.recover import recover

    known = running_projects(runtime, environment)
    chosen = tuple(dict.fromkeys(projects)) or known
    if unknown := [name for name in chosen if name not in known]:
        hint = f"there are {', '.join(known)}" if known else "none runs that nobody owns"
        raise UsageError(f"no Compose project {unknown[0]!r} that nobody owns has a container here", hint=hint)
    if not chosen:
        hint = "containers that docker compose did not make cannot be adopted"
        raise UsageError("no Compose project that nobody owns has a container here", hint=hint)
    observed = _with_images(runtime, runtime.observe(environment, chosen, depth=Depth.WHOLE))
    return tuple(recover(name, observed) for name in chosen)


def running_projects(runtime: Runtime, environment: str) -> tuple[str, ...]:
    """Return the Compose projects on the engine that no environment owns."""
    from reconciler.load.recover import projects
    from reconciler.model.observed import Questions

    observed = runtime.observe(environment)
    return projects(replace(observed, neighbours=runtime.answer(Questions(neighbours=True)).neighbours))


def repository(environment: str, found: Iterable[Recovered]) -> dict[str, str]:
    """Return the files of the repository by path."""
    from reconciler.load.recover import repository

    return repository(environment, found)


def _with_images(runtime: Runtime, observed: ObservedState) -> ObservedState:
    """Look up the very images that the containers were made from, and what their names mean by now."""
    from reconciler.model.observed import Questions

    names = {one.detail["Config"]["Image"] for one in observed.instances} | {one.image_id for one in observed.instances}
    return replace(observed, images=runtime.answer(Questions(images=frozenset(filter(None, names)))).images)


def _name(directory: Path) -> str:
    return directory.resolve().name or "default"


# --- writing ---------------------------------------------------------------------------------------------------------


def _apart(secrets: Path, directory: Path) -> Path:
    """What is secret does not belong into what is going to be committed."""
    if secrets.resolve().is_relative_to(directory.resolve()):
        hint = "the operator's file belongs to whoever runs the reconciler: name a place outside"
        raise UsageError(f"{secrets} is inside {directory}, which is to be committed", hint=hint)
    if secrets.exists():
        raise UsageError(f"{secrets} is there already", hint="name another file; nothing is overwritten")
    return secrets


def _require_free(directory: Path, files: Iterable[str]) -> None:
    there = [path for path in files if (directory / path).exists()]
    if there:
        raise UsageError(f"{directory / there[0]} is there already", hint="name an empty directory; nothing is overwritten")


def _write(directory: Path, files: Mapping[str, str]) -> None:
    try:
        for path, text in files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)
    except OSError as error:
        raise Refused(f"{directory} cannot be written: {error.strerror}") from error


def _write_secrets(path: Path, found: Iterable[Recovered]) -> None:
    from reconciler.load.recover import operators_file

    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(operators_file(found))
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from error


# --- telling ---------------------------------------------------------------------------------------------------------


def _told(directory: Path, files: Iterable[str], found: Iterable[Recovered], secrets: Path | None) -> Iterator[str]:
    yield from (f"wrote {directory / path}" for path in files)
    if secrets:
        yield f"wrote {secrets}, which holds secrets: keep it out of Git"
    hidden = [one for one in found if one.variables]
    if hidden and not secrets:
        yield "what looks secret is in none of these files; declare it in the operator's file:"
        yield from (f"  environment.{one.project}: {', '.join(sorted(one.variables))}" for one in hidden)
    operator = f" --operator {secrets or 'FILE'}" if hidden else ""
    yield f"next: reconciler plan {directory}{operator}"


def complain_notes(found: Iterable[Recovered]) -> None:
    """Say on stderr what the engine does not tell."""
    notes = (f"note: {one.project}/{note}\n" for one in found for note in one.notes)
    say("".join(notes), sys.stderr)


def _checked(place: Workplace, found: Iterable[Recovered]) -> int:
    """Read the files as `plan` will, with the secrets at hand, and say what a person has to decide."""
    operator = place.settings.operator
    environment = {one.project: {**operator.environment.get(one.project, {}), **one.variables} for one in found}
    settings = replace(place.settings, operator=replace(operator, environment={**operator.environment, **environment}))
    place = replace(place, settings=settings)
    source, load = place.source(), place.load()
    revision = source.fetch()
    try:
        complain_of(load(source.files(revision.id), revision).warnings)
    except InvalidState as wrong:
        complain_of(wrong.problems)
        return FAILED
    return 0
