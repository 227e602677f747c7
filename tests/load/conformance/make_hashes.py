"""Ask docker compose itself for the hash of each service of the cases, and write its answers down.

Usage: PYTHONPATH=tests/load make_hashes.py DOCKER_COMPOSE     with `ulimit -v` set, since it has no bound on YAML aliases
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from compose_cases import TABLES, hashed_cases, lay_out


def main(compose: str) -> None:
    answers = {name: hashes(compose, case) for name, case in hashed_cases().items()}
    (TABLES / "hashes.json").write_text(json.dumps(answers, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def hashes(compose: str, case: dict[str, Any]) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        standing = lay_out(case, Path(folder).resolve())
        command = [compose, *case.get("args", []), "config", "--hash", "*"]
        environment = {"PATH": os.environ["PATH"], "HOME": "/root"} | case.get("env", {})
        ran = subprocess.run(command, cwd=standing, env=environment, capture_output=True, text=True, check=True)
        return dict(line.split() for line in ran.stdout.splitlines())


if __name__ == "__main__":
    main(*sys.argv[1:])
