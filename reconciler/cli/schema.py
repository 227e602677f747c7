"""Which JSON Schemas describe our formats? They are for editors, and for programs that write our files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

FILES = ("audit", "environment", "extensions", "log", "operator")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    formats = "reconciler.yaml, of the x- keys of a compose file, of operator.yaml, or of a line of a log"
    parser.description = f"Print the JSON Schema of {formats}."
    parser.add_argument("name", nargs="?", choices=FILES, default="environment", help="the format (default: environment)")
    parser.add_argument("--write", metavar="DIRECTORY", type=Path, help="write all of them as files instead")


def run(args: argparse.Namespace) -> int:
    """Print one schema, or write all."""
    if args.write:
        write(args.write)
    else:
        print(texts()[args.name], end="")
    return 0


def write(directory: Path) -> None:
    """Write every schema into the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        (directory / f"{name}.json").write_text(text, encoding="utf-8")


def texts() -> dict[str, str]:
    """Return every schema as the file says it."""
    from reconciler.cli.lines import AUDIT, LOG
    from reconciler.load.schemas import schemas

    known = {**schemas(), "audit": AUDIT, "log": LOG}
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in known.items()}
