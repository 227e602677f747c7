"""Is every setting shown with its line, and no secret among them?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.drivers.memory.repository import MemoryFiles
from reconciler.load.loading import LoadSettings, load
from reconciler.load.stated import stated
from reconciler.model.source import Revision

COMPOSE = """\
name: shop
x-defaults: &defaults
  restart: unless-stopped   # as everything here
  logging: {driver: json-file, options: {max-size: 1m, max-file: "2"}}
services:
  web:
    <<: *defaults
    image: web:${TAG:-3}
    command: [run, "--on, and on"]
    environment:
      LOG_LEVEL: info # loud
      QUOTED: "a # b"
      API_TOKEN: hunter2
      STORE: postgres://web:hunter2@store/db
      FROM_OUTSIDE: a ${TAG:-3} b
    env_file: web.env
    labels: [com.example.team=shop]
    ports:
      - "8080:80"
      - 8443:443
    volumes: [data:/data]
    depends_on: [store]
    deploy: {replicas: 1, resources: {limits: {memory: 64M, cpus: "0.5"}}}
    healthcheck:
      test: [CMD, check, "--password", hunter2]
  store:
    image: store
volumes: {data: }
"""

EXPECTED = {
    "image": ("web:3", 8),
    "restart": ("unless-stopped", 3),
    "logging.driver": ("json-file", 4),
    "logging.options.max-size": ("1m", 4),
    "logging.options.max-file": ('"2"', 4),
    "command": ('[run, "--on, and on"]', 9),
    "environment.LOG_LEVEL": ("info", 11),
    "environment.QUOTED": ("a # b", 12),
    "environment.API_TOKEN": ("***", 13),
    "environment.FROM_OUTSIDE": ("a ${TAG:-3} b", 15),
    "ports.0": ('"8080:80"', 19),
    "ports.1": ("8443:443", 20),
    "volumes": ("[data:/data]", 21),
    "depends_on.store": ("store", 22),
    "deploy.replicas": ("1", 23),
    "deploy.resources.limits.memory": ("64M", 23),
    "deploy.resources.limits.cpus": ('"0.5"', 23),
}


@pytest.fixture(scope="module")
def settings() -> dict[str, tuple[str, str, int]]:
    files = MemoryFiles({"compose.yaml": COMPOSE.encode(), "web.env": b"DB_PASSWORD=hunter3\nMODE=fast\n"})
    revision = Revision("abc", "main", datetime(2026, 1, 1, tzinfo=UTC))
    desired = load(files, revision, LoadSettings(name="production"))
    found = stated(desired.stack("shop").service("web"), files)
    return {one.attribute: (one.value, one.source.path, one.source.line) for one in found}


@pytest.mark.parametrize("attribute", EXPECTED)
def test_a_setting_is_shown_with_its_value_and_line(settings: dict[str, tuple[str, str, int]], attribute: str) -> None:
    value, line = EXPECTED[attribute]
    assert settings[attribute] == (value, "compose.yaml", line)


def test_what_an_env_file_says_has_its_line_there_and_stays_there(settings: dict[str, tuple[str, str, int]]) -> None:
    assert settings["environment.MODE"] == ("MODE=***", "web.env", 2)
    assert settings["environment.DB_PASSWORD"] == ("DB_PASSWORD=***", "web.env", 1)


def test_no_secret_is_shown(settings: dict[str, tuple[str, str, int]]) -> None:
    assert "hunter" not in str(settings)


def test_nothing_is_shown_twice_or_that_nobody_wrote(settings: dict[str, tuple[str, str, int]]) -> None:
    told_otherwise = {"labels", "healthcheck.test", *(f"environment.{name}" for name in ("STORE", "MODE", "DB_PASSWORD"))}
    assert settings.keys() == EXPECTED.keys() | told_otherwise
