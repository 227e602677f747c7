"""Does a verb import only what it needs? Start-up time is a feature."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"pydantic", "docker", "requests", "git", "rich", "yaml", "jsonschema", "watchfiles", "sqlite3", "asyncio"}
LOADED = """
import json, sys
from reconciler.__main__ import main
sys.argv = ["reconciler", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
sys.stderr.write(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded(*words: str) -> set[str]:
    """Return the packages that are imported once the command line has run."""
    done = subprocess.run([sys.executable, "-c", LOADED, *words], capture_output=True, text=True, timeout=60)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["docs"], ["docs", "errors"], ["status", "--help"], ["completion", "bash"]]
)
def test_what_needs_no_library_imports_none(words: list[str]) -> None:
    assert loaded(*words) & HEAVY == set()


def test_the_version_is_said_without_the_parser() -> None:
    assert "argparse" not in loaded("--version")


def test_the_history_is_read_without_the_engine_and_git(tmp_path: object) -> None:
    assert loaded("history", "--state", str(tmp_path)) & HEAVY == {"sqlite3"}
