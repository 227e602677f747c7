"""Is the example repository what its README says, and do the demo's changes still fit it?"""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from reconciler.drivers.directory import DirectoryFiles
from reconciler.errors import Problem
from reconciler.load.loading import load
from reconciler.model.source import Revision

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / "example-repo"
DEMO = PROJECT / "reconciler/cli/demo"
SCRIPTS = sorted(file for file in EXAMPLE.rglob("*") if file.is_file() and file.read_bytes().startswith(b"#!"))


def test_the_demo_shows_the_example_repository_itself() -> None:
    assert (DEMO / "repository").resolve() == EXAMPLE


def test_there_are_scripts() -> None:
    assert SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.relative_to(EXAMPLE)))
def test_every_script_is_executable_and_parses(script: Path) -> None:
    assert os.access(script, os.X_OK)
    subprocess.run(("sh", "-n", str(script)), check=True, timeout=10)


@pytest.mark.parametrize("stack", ["data", "shop"])
def test_every_service_runs_the_small_image_without_capabilities(stack: str) -> None:
    services = yaml.safe_load((EXAMPLE / "stacks" / stack / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert (name, service["image"], service["cap_drop"]) == (name, "${BUSYBOX}", ["ALL"])


def test_the_changes_of_the_demo_apply_one_after_the_other(tmp_path: Path) -> None:
    clone = tmp_path / "shop"
    shutil.copytree(EXAMPLE, clone)
    changes = sorted((DEMO / "changes").glob("*.patch"))
    assert [change.name[:2] for change in changes] == ["1-", "2-", "3-", "4-"]
    subprocess.run(("git", "init", "--quiet"), cwd=clone, check=True, timeout=10)
    for change in changes:
        subprocess.run(("git", "apply", str(change)), cwd=clone, check=True, timeout=10)
    assert "SHOP_VERSION=1.5.0" in (clone / "stacks/shop/.env").read_text()
    assert "worker" not in yaml.safe_load((clone / "stacks/shop/compose.yaml").read_text())["services"]


def test_it_is_valid_without_a_warning_and_stays_so_through_the_demo(tmp_path: Path) -> None:
    repository = tmp_path / "shop"
    shutil.copytree(EXAMPLE, repository)
    assert _warnings(repository) == ()
    subprocess.run(("git", "init", "--quiet"), cwd=repository, check=True, timeout=10)
    for change in sorted((DEMO / "changes").glob("*.patch")):
        subprocess.run(("git", "apply", str(change)), cwd=repository, check=True, timeout=10)
        assert (change.name, _warnings(repository)) == (change.name, ())


def _warnings(repository: Path) -> tuple[Problem, ...]:
    revision = Revision("0" * 40, "main", datetime(2026, 1, 5, tzinfo=UTC), "Shop", "The shop")
    return load(DirectoryFiles(repository), revision).warnings
