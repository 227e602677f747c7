"""Record what docker compose makes of compose.yaml: `record.py PATH_TO_DOCKER_COMPOSE` writes reference.json.

The engine must speak API 1.41, as the one the test compares with may be newer but never older.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import docker

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import inspected  # noqa: E402

PROJECT = "p7payload"


def main(compose: str) -> None:
    command = [compose, "-p", PROJECT]
    environment = {**os.environ, "PAYLOAD_TOKEN": "t0ken"}
    engine = docker.APIClient(version="1.41")
    down = [*command, "down", "--volumes", "--timeout", "0"]
    subprocess.run(down, cwd=HERE, env=environment, check=True)
    try:
        subprocess.run([*command, "create"], cwd=HERE, env=environment, check=True)
        (HERE / "reference.json").write_text(json.dumps(_recorded(engine), indent=1, sort_keys=True) + "\n")
    finally:
        subprocess.run(down, cwd=HERE, env=environment, check=True)


def _recorded(engine: docker.APIClient) -> dict[str, object]:
    ours = {"label": f"com.docker.compose.project={PROJECT}"}
    documents = [engine.inspect_container(found["Id"]) for found in engine.containers(all=True, filters=ours)]
    names = {document["Id"]: document["Name"].lstrip("/") for document in documents}
    text = json.dumps(
        {
            "containers": {names[document["Id"]]: inspected.container(document, names) for document in documents},
            "networks": {found["Name"]: inspected.network(found) for found in engine.networks(filters=ours)},
            "volumes": {found["Name"]: inspected.volume(found) for found in engine.volumes(filters=ours)["Volumes"]},
        }
    )
    return dict(json.loads(text.replace(str(HERE), "@HERE@")))


if __name__ == "__main__":
    main(sys.argv[1])
