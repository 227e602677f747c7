"""Does no client lose a request while a service behind the gateway is updated? A short run of `make test-traffic`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import docker

PROJECT = Path(__file__).parents[2]


def test_a_rolling_update_under_load_loses_no_request(engine: docker.APIClient) -> None:
    paths = os.pathsep.join(str(PROJECT / path) for path in (".", "tests/engine", "tests/drivers"))
    words = (sys.executable, "-m", "benchmarks.traffic", "--requests", "400", "rolling update")
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, row = done.stdout.splitlines()
    assert "| 0 | 0 | 0 |" in row
