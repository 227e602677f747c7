"""Does the project's own image do what the guide promises: no root, a read-only file system, nothing fetched at run time?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

PROJECT = Path(__file__).parents[2]
GUIDE = PROJECT / "reconciler/docs/guides/run-as-a-container.md"


def _run(engine: docker.APIClient, image: str, script: str) -> tuple[int, str]:
    """Run a shell script in a container hardened as the guide says; return its exit code and what it wrote."""
    hardened = engine.create_host_config(
        read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges"], tmpfs={"/tmp": "mode=1777"}, network_mode="none"
    )
    container = engine.create_container(image, [script], entrypoint=["sh", "-c"], host_config=hardened)["Id"]
    try:
        engine.start(container)
        code = engine.wait(container, timeout=60)["StatusCode"]
        return code, engine.logs(container).decode()
    finally:
        engine.remove_container(container, v=True, force=True)


def test_it_starts_the_loop_and_says_whether_it_is_healthy(engine: docker.APIClient, own_image: str) -> None:
    config = _config(engine, own_image)
    assert (config["Entrypoint"], config["Cmd"]) == (["reconciler"], ["run"])
    assert config["Healthcheck"]["Test"] == ["CMD", "reconciler", "health"]
    assert list(config["Volumes"]) == ["/var/lib/reconciler"]


def test_it_is_nobody_special(engine: docker.APIClient, own_image: str) -> None:
    assert _config(engine, own_image)["User"] == "10001:10001"
    assert _run(engine, own_image, "id -un && id -u") == (0, "reconciler\n10001\n")


def _config(engine: docker.APIClient, image: str) -> dict[str, Any]:
    (found,) = engine.images(image)
    assert found["RepoTags"] == [image]
    container = engine.create_container(image)["Id"]
    try:
        config: dict[str, Any] = engine.inspect_container(container)["Config"]
        return config
    finally:
        engine.remove_container(container, v=True)


DEMO = "$(python -c 'import reconciler.cli as cli; print(*cli.__path__)')/demo"


@pytest.mark.parametrize(
    ("what", "script"),
    [
        ("the program and all it imports", "python -c 'import reconciler, docker, pydantic, rich, watchfiles, yaml'"),
        ("the command line", "reconciler --version"),
        ("git", "git --version"),
        ("ssh, for a user with a name", "ssh -V"),
        ("the demo's story", f"test -f {DEMO}/changes/1-release.patch"),
        ("the demo's hidden files", f"test -f {DEMO}/repository/stacks/shop/.env"),
        ("the demo's scripts", f"test -x {DEMO}/repository/stacks/shop/migrate/run"),
        ("a place for its state", "touch /var/lib/reconciler/state"),
        ("scratch space", "touch $HOME/scratch"),
    ],
)
def test_a_hardened_container_has(engine: docker.APIClient, own_image: str, what: str, script: str) -> None:
    code, said = _run(engine, own_image, script)
    assert code == 0, f"{what}: {said}"


@pytest.mark.parametrize("script", ["touch /anywhere", "pip --version", "python -m pip --version", "ls /source /wheels"])
def test_a_hardened_container_cannot(engine: docker.APIClient, own_image: str, script: str) -> None:
    assert _run(engine, own_image, script)[0] != 0


def test_nothing_of_the_building_machine_stays_in_it(engine: docker.APIClient, own_image: str) -> None:
    assert "PIP_" not in str(engine.history(own_image))  # type: ignore[no-untyped-call]
    assert not [setting for setting in _config(engine, own_image)["Env"] if setting.startswith("PIP_")]


def test_the_compose_file_of_the_guide_is_hardened() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    services = yaml.safe_load(text)["services"]
    for name, service in services.items():
        assert (name, service["read_only"], service["cap_drop"]) == (name, True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert [name for name, service in services.items() if "docker.sock" in str(service.get("volumes"))] == ["engine"]
