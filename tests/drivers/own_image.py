"""How is the project's own image made where no image registry answers?"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import docker

PROJECT = Path(__file__).parents[2]
BASE = "local/python:3"
IMAGE = "reconciler:under-test"
STAGE = "local/reconciler:stage"
"""The stage that fetches what the image stands on. It keeps a name, like its base, and is there for the next build."""

PIP_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")


def build(engine: docker.APIClient) -> str:
    """Have the engine's own builder make the image, on a base that needs no image registry; return its reference."""
    subprocess.run((PROJECT / ".ci/images", "python"), check=True, timeout=600, stdin=subprocess.DEVNULL)
    earlier = engine.images(STAGE, quiet=True)
    _build(engine, STAGE, "build")
    _build(engine, IMAGE)
    for stage in {*earlier} - {*engine.images(STAGE, quiet=True)}:
        engine.remove_image(stage)
    return IMAGE


def _build(engine: docker.APIClient, reference: str, stage: str = "") -> None:
    said = list(
        engine.build(
            fileobj=_context(),
            custom_context=True,
            tag=reference,
            target=stage,
            rm=True,
            decode=True,
            # As this machine reaches its package index, so does the build: by its network, through its settings.
            network_mode="host",
            buildargs={"BASE": BASE, **{name: os.environ[name] for name in PIP_SETTINGS if name in os.environ}},
        )
    )
    errors = [line["error"] for line in said if "error" in line]
    assert not errors, "".join(line.get("stream", "") for line in said)[-3000:]


def _context() -> io.BytesIO:
    """What .dockerignore lets through, as `docker build` would send it."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name in ("Dockerfile", *_allowed()):
            if (PROJECT / name).exists():
                archive.add(PROJECT / name, name, filter=lambda entry: None if "__pycache__" in entry.name else entry)
    context.seek(0)
    return context


def _allowed() -> list[str]:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    return [line.removeprefix("!") for line in lines if line.startswith("!")]
