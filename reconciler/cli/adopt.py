"""Take over what docker compose started, without a single new container: `reconciler adopt`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_place, place_of
from reconciler.cli.printing import columns, say
from reconciler.cli.problems import complain_of
from reconciler.cli.sight import Lookout
from reconciler.cli.word import write_down
from reconciler.errors import ReconcilerError, Refused, UsageError

if TYPE_CHECKING:
    from reconciler.load.adopting import Adoption
    from reconciler.model.desired import DesiredState, Stack
    from reconciler.model.observed import Neighbour
    from reconciler.model.plan import Plan
    from reconciler.ports import Files, NewFile


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("projects", nargs="*", metavar="PROJECT", help="Compose projects to take over; none: list them")
    configure_place(parser, source=False)
    parser.add_argument("--stack", metavar="NAME", help="which stack takes it over (default: the one of that project or name)")
    parser.add_argument("--write", action="store_true", help="write it into the files of a directory")


def run(args: argparse.Namespace) -> int:
    """List what could be taken over, or show what taking it over would mean. Changes nothing on the engine."""
    place = place_of(args)
    lookout = Lookout(place)
    if not args.projects:
        if args.write or args.stack:
            raise UsageError("name the projects to take over", hint="`reconciler adopt` alone lists them")
        say(listed(lookout))
        return 0
    found = adopted(lookout, args.projects, args.stack)
    complain_of(found.desired.warnings)
    say(printed(found))
    if args.write:
        _write(Path(place.settings.source or ".") / place.settings.path, found.files)
        said = {one.stack: str(one) for one in found.adoptions}
        write_down(lookout.store, lookout.clock.now(), "adopt", said, revision=found.desired.revision.id)
    elif found.adoptions:
        say("hint: --write writes it into a directory; in a Git repository commit it\n", sys.stderr)
    return 0


# --- what there is ---------------------------------------------------------------------------------------------------


def listed(lookout: Lookout) -> str:
    """Return the Compose projects on the engine that no environment owns, a line each."""
    from reconciler.load.recover import project_of

    desired = _repository(lookout)
    environment = desired.environment.name if desired else ""
    ours = {project: stack.name for stack in desired.stacks for project in stack.adopt} if desired else {}
    projects: dict[str, list[Neighbour]] = {}
    for neighbour in _neighbours(lookout, environment):
        if project := project_of(neighbour.labels):
            projects.setdefault(project, []).append(neighbour)
    rows = (_row(project, members, ours) for project, members in sorted(projects.items()))
    return "".join(f"{line}\n" for line in columns(rows)) or "There is no Compose project that nobody owns.\n"


def _repository(lookout: Lookout) -> DesiredState | None:
    """Without a repository the list is as good, but for what is adopted already."""
    try:
        revision = lookout.source.fetch()
        return lookout.load(lookout.source.files(revision.id), revision)
    except ReconcilerError as trouble:
        say(f"note: what is adopted already is not marked, as no repository could be read: {trouble}\n", sys.stderr)
        return None


def _neighbours(lookout: Lookout, environment: str) -> tuple[Neighbour, ...]:
    from reconciler.model.observed import Questions

    runtime = lookout.runtime()
    runtime.observe(environment)
    return runtime.answer(Questions(neighbours=True)).neighbours or ()


def _row(project: str, members: list[Neighbour], ours: Mapping[str, str]) -> tuple[str, str, str, str]:
    from reconciler.model import labels

    services = Counter(one.labels.get(labels.COMPOSE_SERVICE, "") for one in members)
    named = ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in sorted(services.items()))
    running = sum(one.running for one in members)
    state = f"{running} of {len(members)} run"
    stack = f"adopted by stack {ours[project]}" if project in ours else ""
    return project, state, named, stack


# --- what it would mean ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Adopted:
    """A repository that takes projects over, and what a turn would do then.

    adoptions  what has to be written; files: the same by path
    """

    adoptions: tuple[Adoption, ...]
    desired: DesiredState
    plan: Plan
    files: Mapping[str, NewFile] = field(default_factory=dict)


def adopted(lookout: Lookout, projects: Iterable[str], stack: str | None = None) -> Adopted:
    """Add the projects to the repository, in memory, and plan with it. Raises UsageError, Refused, or what is wrong with it."""
    from reconciler.load.overlay import Overlay

    revision = lookout.source.fetch()
    before = lookout.source.files(revision.id)
    desired = lookout.load(before, revision)
    _require_running(lookout, desired.environment.name, projects)
    found: list[Adoption] = []
    edits: dict[str, NewFile] = {}
    files: Files = before
    for project in dict.fromkeys(projects):
        chosen = _stack(desired, project, stack)
        if project not in chosen.adopt:
            found.append(_adoption(files, chosen, project))
            edits[found[-1].path] = _new_file(found[-1].content)
            files = Overlay(before, edits)
            desired = lookout.load(files, revision)
    return Adopted(tuple(found), desired, _plan(lookout, desired), edits)


def printed(found: Adopted) -> str:
    """Return what has to be written, and the plan with it."""
    from reconciler.plan import render

    lines = [f"to write: {one}\n" for one in found.adoptions] or ["to write: nothing, it is adopted already\n"]
    return "".join(lines) + render.text(found.plan)


def _require_running(lookout: Lookout, environment: str, projects: Iterable[str]) -> None:
    from reconciler.load.excerpt import suggest
    from reconciler.load.recover import project_of

    known = sorted({name for one in _neighbours(lookout, environment) if (name := project_of(one.labels))})
    for project in projects:
        if project not in known:
            hint = suggest(project, known) or (f"there are {', '.join(known)}" if known else "there is none at all")
            raise UsageError(f"no Compose project {project!r} that nobody owns has a container here", hint=hint)


def _stack(desired: DesiredState, project: str, name: str | None) -> Stack:
    by_name = {stack.name: stack for stack in desired.stacks}
    by_project = {stack.project: stack for stack in desired.stacks}
    chosen = by_name.get(name) if name else by_project.get(project) or by_name.get(project)
    if chosen is None:
        hint = f"say --stack NAME; there are {', '.join(by_name)}" if by_name else "`reconciler init` writes one"
        raise UsageError(f"there is no stack {name or project!r} in {desired.environment.name}", hint=hint)
    return chosen


def _adoption(files: Files, stack: Stack, project: str) -> Adoption:
    from reconciler.load.adopting import adoption

    return adoption(files, stack, project)


def _new_file(content: bytes) -> NewFile:
    from reconciler.ports import NewFile

    return NewFile(content)


def _plan(lookout: Lookout, desired: DesiredState) -> Plan:
    from reconciler.observe import observe
    from reconciler.plan import make_plan

    history = lookout.store.history()
    previous = lookout.past(history.applied)
    # A new state directory deletes nothing; here nothing is deleted in any case, and the plan should show it.
    history = replace(history, fresh=False)
    observed = observe(lookout.runtime(), desired, history, previous)
    return make_plan(desired, observed, history, previous)


# --- writing ---------------------------------------------------------------------------------------------------------


def _write(directory: Path, files: Mapping[str, NewFile]) -> None:
    if not directory.is_dir() or (directory / "HEAD").is_file():
        raise UsageError("only the files of a directory can be written", hint="commit the lines above instead")
    try:
        for path, file in files.items():
            (directory / path).write_bytes(file.content)
            say(f"wrote {directory / path}\n")
    except OSError as error:
        raise Refused(f"{directory} cannot be written: {error.strerror}") from error
