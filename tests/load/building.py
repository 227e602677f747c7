"""How a test comes from the text of a few files to a built service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reconciler.drivers.directory import DirectoryFiles
from reconciler.errors import InvalidState, Problem
from reconciler.load.compose import ComposeRequest, Project, load_project
from reconciler.load.definition import Context
from reconciler.load.service import build_service
from reconciler.model.desired import Service

ROOT = "/.repository"


def write(directory: Path, files: Mapping[str, str | bytes]) -> DirectoryFiles:
    """Write the files below a directory; return them as a revision's."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return DirectoryFiles(directory)


def load(
    directory: Path, files: Mapping[str, str | bytes], variables: Mapping[str, str] | None = None, host_root: str = ""
) -> tuple[Project, Context]:
    """Load the project `p` whose compose.yaml is among the files."""
    found = write(directory, files)
    project = load_project(found, ComposeRequest(root=ROOT, name="p", environment=variables or {}))
    return project, Context("shop", found, ROOT, host_root=host_root)


def build(
    directory: Path,
    files: Mapping[str, str | bytes],
    variables: Mapping[str, str] | None = None,
    host_root: str = "",
    service: str = "web",
) -> tuple[Service, tuple[Problem, ...]]:
    """Build one service and return it with its warnings."""
    project, context = load(directory, files, variables, host_root)
    return build_service(project, service, context)


def said(problem: Problem) -> str:
    """Write a problem in one line: code, place, path, message."""
    place = f"{problem.mark.line}:{problem.mark.column}" if problem.mark else "-"
    return f"{problem.code} {place} {problem.at} | {problem.message}"


def mistakes(
    directory: Path, files: Mapping[str, str | bytes], variables: Mapping[str, str] | None = None, host_root: str = ""
) -> list[str]:
    """Build the service `web` and return what is wrong with it."""
    try:
        build(directory, files, variables, host_root)
    except InvalidState as error:
        return [said(problem) for problem in error.problems]
    return []
