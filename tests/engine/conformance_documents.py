"""Which documents that docker compose accepts become stacks of a repository, and what stands around each of them?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TABLES = Path(__file__).parents[1] / "load" / "conformance"

PAYLOAD = Path(__file__).parent / "payload"

_LISTS = {"-f": "files", "--profile": "profiles", "--env-file": "env_file"}
"""Options of docker compose, and the setting of a stack that says the same."""

_BESIDE = {"f": "a file that many documents name\n"}


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its files, and how its stack's entry in reconciler.yaml says what docker compose was told."""

    name: str
    files: Mapping[str, str | bytes]
    entry: Mapping[str, Any]
    directory: str = ""

    def write(self, top: Path, stack: str) -> dict[str, Any]:
        """Lay the files out below `top`; return the entry of the stack."""
        for path, content in {**_BESIDE, **self.files}.items():
            file = top / stack / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        path = "/".join(filter(None, (stack, self.directory)))
        return {"path": path, "project": stack, "host_root": str(top / "host" / stack), **self.entry}


def accepted_documents() -> tuple[Document, ...]:
    """Return every document of the conformance tables that docker compose accepts, and those of this directory."""
    return (*_given(), *_own(), *_large(), _payload())


def _given() -> Iterator[Document]:
    for row in json.loads((TABLES / "cases.json").read_text("utf-8")):
        if "ok" not in row["expect"]:
            continue
        override = {"o.yaml": row["override"]} if "override" in row else {}
        files = {**row.get("files", {}), "compose.yaml": row["doc"], **override}
        entry = {"files": ["compose.yaml", *override], "environment": row.get("env") or {}}
        yield Document(f"{row['table']} {json.dumps(row['input'])}", files, entry)


def _own() -> Iterator[Document]:
    answers = json.loads((TABLES / "own.json").read_text("utf-8"))
    for name, case in yaml.safe_load((TABLES / "own.yaml").read_text("utf-8")).items():
        if "ok" in answers[name]:
            entry = {**_said(case.get("args", [])), "environment": case.get("env") or {}}
            yield Document(name, case["files"], entry, case.get("cwd", ""))


def _said(words: list[str]) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option in _LISTS:
            said.setdefault(_LISTS[option], []).append(value)
    return said


def _large() -> Iterator[Document]:
    for path in sorted((TABLES / "large").glob("*.yaml")):
        yield Document(f"large {path.stem}", {"compose.yaml": path.read_text("utf-8")}, {})


_NOT_EVERYWHERE = (
    "block-io", "block-weight", "capabilities-all", "gpus", "gpus-all", "gpus-reserved", "entrypoint-text", "groups",
    "links-bridge", "network-service", "pid-service", "privileged", "ulimits",
)  # fmt: skip
"""Services of payload/ that want what some machines do not have, or a container that is there before."""

_SOONER = "  health-list: {healthcheck: {interval: 1s}}\n"
"""Others wait for this one, which would look for half a minute whether it is healthy."""


def _payload() -> Document:
    """The services that payload/reference.json is about."""
    files = {str(path.relative_to(PAYLOAD)): path.read_bytes() for path in PAYLOAD.rglob("*") if path.is_file()}
    without = f"services:\n{_SOONER}" + "".join(f"  {name}: !reset null\n" for name in _NOT_EVERYWHERE)
    entry = {"files": ["compose.yaml", "without.yaml"], "project": "p7payload", "environment": {"PAYLOAD_TOKEN": "t0ken"}}
    return Document("every attribute of payload/", {**files, "without.yaml": without.encode()}, entry)
