"""Lay out a Compose case, load it, and show the result as the reference prints it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from reconciler.cli import config
from reconciler.drivers.directory import DirectoryFiles
from reconciler.load.compose import ComposeRequest, Project, load_project
from reconciler.load.printed import json_document
from reconciler.ports import Files

TABLES = Path(__file__).parent / "conformance"

_SAYS_NOTHING_WHEN_NULL = ("command", "entrypoint")
_SAYS_NOTHING_WHEN_EMPTY = ("ipam", "resources", "placement", "volume")


def given_cases() -> list[dict[str, Any]]:
    """Return the rows of cases.json as {table, files, args, env, expect}."""
    return [_given(row) for row in json.loads((TABLES / "cases.json").read_text("utf-8"))]


def own_cases(table: str = "own") -> list[dict[str, Any]]:
    """Return the cases of own.yaml, or of another such table, with the reference's answers from own.json."""
    answers = json.loads((TABLES / f"{table}.json").read_text("utf-8"))
    cases = yaml.safe_load((TABLES / f"{table}.yaml").read_text("utf-8"))
    return [{"table": name.split()[0], "name": name, "expect": answers[name], **case} for name, case in cases.items()]


def large_cases() -> list[dict[str, Any]]:
    """Return the files in large/, each with the reference's answer beside it."""
    return [
        {
            "table": "large",
            "name": path.stem,
            "files": {"compose.yaml": path.read_text("utf-8")},
            "expect": {"ok": json.loads(path.with_suffix(".json").read_text("utf-8"))},
        }
        for path in sorted((TABLES / "large").glob("*.yaml"))
    ]


def hashed_cases() -> dict[str, dict[str, Any]]:
    """Return the cases whose hashes docker compose prints the same wherever they stand, by name.

    Paths are part of a hash; and of a service with an env file it prints another than it puts on the container.
    """
    cases = (*given_cases(), *own_cases(), *large_cases())
    return {f"{case['table']}: {case['name']}": case for case in cases if _stands_anywhere(case)}


def _stands_anywhere(case: Mapping[str, Any]) -> bool:
    answer = json.dumps(case["expect"].get("ok", {}).get("services"))
    return "{" in answer and not any(word in f"{answer}{case['files']}" for word in ("@DIR@", "@PARENT@", "/root", "env_file"))


def load_case(
    case: Mapping[str, Any], folder: Path, load: Callable[[Files, ComposeRequest], Project] = load_project
) -> Project:
    """Load a case laid out in the folder's `project` directory, through the options of `reconciler config`."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/root"} | case.get("env", {})
    request = config.request_of(parse(case.get("args", [])), lay_out(case, folder), environment)
    return load(DirectoryFiles(Path("/"), follow_links=True), request)


def lay_out(case: Mapping[str, Any], folder: Path) -> Path:
    """Write the files of a case into the folder's `project` directory; return where the command stands."""
    top = folder / "project"
    for path, text in case["files"].items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text, "utf-8")
    return top / case.get("cwd", "")


def parse(words: Iterable[str]) -> argparse.Namespace:
    """Return the parsed options of `reconciler config`."""
    parser = argparse.ArgumentParser()
    config.configure(parser)
    return parser.parse_args(list(words))


def shown(project: Project) -> Any:
    """Return what `--format json` shows, without what says nothing."""
    return comparable(json_document(project))


def wanted(case: Mapping[str, Any], folder: Path) -> Any:
    """Return the reference's answer for a case laid out in the folder, without what says nothing."""
    text = json.dumps(case["expect"]["ok"]).replace("@DIR@", str(folder / "project"))
    return comparable(json.loads(text.replace("@PARENT@", str(folder))))


def comparable(value: Any) -> Any:
    """Return the value without empty structures that Compose prints in some versions only."""
    match value:
        case dict():
            return {name: comparable(child) for name, child in value.items() if not _says_nothing(name, child)}
        case list():
            return [comparable(item) for item in value]
        case _:
            return value


def _says_nothing(name: str, value: Any) -> bool:
    return (name in _SAYS_NOTHING_WHEN_NULL and value is None) or (name in _SAYS_NOTHING_WHEN_EMPTY and value == {})


def _given(row: Mapping[str, Any]) -> dict[str, Any]:
    override = {"o.yaml": row["override"]} if "override" in row else {}
    args = ["-p", "p", "-f", "compose.yaml", *(["-f", "o.yaml"] if override else [])]
    expect = row["expect"]
    if "ok" in expect:
        # These answers were printed for Compose to read again, so they double every `$`.
        expect = {"ok": json.loads(json.dumps(expect["ok"]).replace("$$", "$"))}
    return {
        "table": row["table"],
        "name": f"{row['table']} {json.dumps(row['input'])}"[:80],
        "files": {**row.get("files", {}), "compose.yaml": row["doc"], **override},
        "args": args,
        "env": row.get("env", {}),
        "expect": expect,
    }
