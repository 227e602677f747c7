"""Ask docker compose itself what each case of own.yaml, as-written.yaml and large/ means, and write its answers down.

Usage: make_cases.py DOCKER_COMPOSE [NAME...]    with `ulimit -v` set, since it has no bound on YAML aliases
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent


def main(compose: str, *names: str) -> None:
    ask_table(compose, "own", names)
    ask_table(compose, "as-written", names, "--no-interpolate")
    for path in [] if names else (HERE / "large").glob("*.yaml"):
        found = answer(compose, {"files": {"compose.yaml": path.read_text()}})
        path.with_suffix(".json").write_text(_json(found["ok"]))


def ask_table(compose: str, table: str, names: tuple[str, ...], *options: str) -> None:
    answers = HERE / f"{table}.json"
    known = json.loads(answers.read_text()) if names else {}
    for name, case in yaml.safe_load(answers.with_suffix(".yaml").read_text()).items():
        if not names or name in names:
            known[name] = answer(compose, case, *options)
    answers.write_text(_json(known))


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def answer(compose: str, case: dict[str, Any], *options: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve() / "project"
        for path, text in case["files"].items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(text)
        command = [compose, *case.get("args", []), "config", "--format", "json", *options]
        environment = {"PATH": os.environ["PATH"], "HOME": "/root"} | case.get("env", {})
        standing = top / case.get("cwd", "")
        ran = subprocess.run(command, cwd=standing, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            return {"error": ran.stderr.strip().splitlines()[-1].replace(str(top), "@DIR@")}
        shown = ran.stdout.replace(str(top), "@DIR@").replace(str(top.parent), "@PARENT@")
        # It doubles every `$` where it has replaced variables.
        return {"ok": json.loads(shown if "--no-interpolate" in options else shown.replace("$$", "$"))}


if __name__ == "__main__":
    main(*sys.argv[1:])
