"""Do images come from a registry as the plan saw them, and is every bad day of a registry told apart?"""

from __future__ import annotations

import base64
import json
import os
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from image_registry import ImageRegistry, image_registry
from worlds import engine

from reconciler.drivers.docker import DockerRuntime, connect
from reconciler.drivers.docker.images import split
from reconciler.errors import Conflict, ReconcilerError, Refused, Unreachable
from reconciler.model.observed import ObservedImage, Questions
from reconciler.model.plan import PullImage, RemoveImage
from reconciler.settings import RegistryAccess


def _layer(content: bytes) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("content")
        member.size = len(content)
        tar.addfile(member, BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageRegistry]:
    # The user's own credentials and helpers have no business in a test.
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with image_registry() as registry:
        yield registry
        ours = f"127.0.0.1:{registry.port}/"
        listed = engine("images", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}", "--digests").splitlines()
        for repository, tag, digest in (line.split() for line in listed if line.startswith(ours)):
            engine("rmi", "--force", f"{repository}:{tag}" if tag != "<none>" else f"{repository}@{digest}")


@pytest.fixture
def runtime() -> DockerRuntime:
    return connect(timeout_seconds=20)


def _local(runtime: DockerRuntime, reference: str) -> ObservedImage | None:
    return runtime.answer(Questions(images=frozenset({reference}))).images[reference]


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("web", ("web", "", "")),
        ("web:2", ("web", "2", "")),
        ("localhost:5000/web", ("localhost:5000/web", "", "")),
        ("localhost:5000/acme/web:2", ("localhost:5000/acme/web", "2", "")),
        ("web@sha256:ab", ("web", "", "sha256:ab")),
        ("localhost:5000/web:2@sha256:ab", ("localhost:5000/web", "2", "sha256:ab")),
    ],
)
def test_a_reference_has_three_parts(reference: str, parts: tuple[str, str, str]) -> None:
    assert split(reference) == parts


@pytest.mark.engine
class TestRegistry:
    def test_a_pulled_image_is_there_under_its_reference(self, registry: ImageRegistry, runtime: DockerRuntime) -> None:
        digest = registry.push("good/web:1", _layer(b"one"), {"Cmd": ["serve"], "Env": ["A=b"]})
        reference = registry.reference("good/web:1")
        assert _local(runtime, reference) is None
        runtime.do(PullImage(reference))
        found = _local(runtime, reference)
        assert found is not None
        assert found.config["Cmd"] == ["serve"]
        assert found.digests == (f"{registry.reference('good/web')}@{digest}",)

    def test_a_tag_that_moved_meanwhile_changes_nothing(self, registry: ImageRegistry, runtime: DockerRuntime) -> None:
        planned = registry.push("good/web:1", _layer(b"one"), {"Cmd": ["planned"]})
        registry.push("good/web:1", _layer(b"two"), {"Cmd": ["moved"]})
        reference = registry.reference("good/web:1")
        runtime.do(PullImage(reference, digest=planned))
        found = _local(runtime, reference)
        assert found is not None
        assert (found.config["Cmd"], found.tags) == (["planned"], (reference,))

    @pytest.mark.parametrize("tag", ["", ":1"], ids=["digest", "tag and digest"])
    def test_a_reference_by_digest_is_pulled_and_found(self, registry: ImageRegistry, runtime: DockerRuntime, tag: str) -> None:
        digest = registry.push("good/web:1", _layer(b"one"), {"Cmd": ["serve"]})
        reference = f"{registry.reference('good/web')}{tag}@{digest}"
        runtime.do(PullImage(reference))
        found = _local(runtime, reference)
        assert found is not None
        assert found.tags == ()
        assert runtime.digests([reference]) == {reference: digest}

    def test_digests_are_told_for_those_that_answer(self, registry: ImageRegistry, runtime: DockerRuntime) -> None:
        digest = registry.push("good/web:1", _layer(b"one"), {})
        asked = [registry.reference(name) for name in ("good/web:1", "good/none:1", "broken/web:1", "denied/web:1")]
        assert runtime.digests([*asked, "127.0.0.1:1/nobody:1", "../../x"]) == {asked[0]: digest}

    @pytest.mark.parametrize(
        ("name", "kind", "hint"),
        [
            ("good/none:1", Refused, ""),
            ("missing/web:1", Refused, ""),
            ("denied/web:1", Refused, "docker login"),
            ("private/web:1", Refused, "docker login"),
            ("limited/web:1", Unreachable, "limits pulls"),
            ("broken/web:1", Unreachable, ""),
        ],
    )
    def test_every_bad_answer_says_who_acts(
        self, registry: ImageRegistry, runtime: DockerRuntime, name: str, kind: type[ReconcilerError], hint: str
    ) -> None:
        with pytest.raises(ReconcilerError, match=f"^pull image {registry.reference(name)}: ") as refusal:
            runtime.do(PullImage(registry.reference(name)))
        assert type(refusal.value) is kind, refusal.value
        assert hint in refusal.value.hint
        assert "\n" not in str(refusal.value)

    def test_a_registry_nobody_runs_is_unreachable(self, registry: ImageRegistry, runtime: DockerRuntime) -> None:
        with pytest.raises(Unreachable, match="connection refused"):
            runtime.do(PullImage("127.0.0.1:1/nobody:1"))

    def test_a_registry_that_hangs_in_a_layer_does_not_hold_us(self, registry: ImageRegistry) -> None:
        registry.push("hanging/web:1", _layer(os.urandom(1000)), {})
        with pytest.raises(Unreachable, match="did not answer in time"):
            connect(timeout_seconds=0.5).do(PullImage(registry.reference("hanging/web:1")))

    def test_credentials_come_from_the_docker_config(
        self, registry: ImageRegistry, runtime: DockerRuntime, tmp_path: Path
    ) -> None:
        registry.guarded = True
        digest = registry.push("private/web:1", _layer(b"one"), {})
        login = base64.b64encode(b"anna:correct horse").decode()
        auths = {"auths": {f"127.0.0.1:{registry.port}": {"auth": login}}}
        (tmp_path / "config.json").write_text(json.dumps(auths))
        reference = registry.reference("private/web:1")
        runtime.do(PullImage(reference))
        assert _local(runtime, reference) is not None
        assert runtime.digests([reference]) == {reference: digest}

    def test_the_operators_login_wins_over_the_docker_config(self, registry: ImageRegistry, tmp_path: Path) -> None:
        registry.guarded = True
        digest = registry.push("private/web:1", _layer(b"one"), {})
        host = f"127.0.0.1:{registry.port}"
        old = base64.b64encode(b"anna:of yesterday").decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": old}}}))
        (tmp_path / "password").write_text("correct horse\n")
        runtime = connect(timeout_seconds=20, logins={host: RegistryAccess("anna", tmp_path / "password")})
        reference = registry.reference("private/web:1")
        runtime.do(PullImage(reference))
        assert _local(runtime, reference) is not None
        assert runtime.digests([reference]) == {reference: digest}

    def test_the_operators_password_may_come_from_the_environment(
        self, registry: ImageRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.guarded = True
        registry.push("private/web:1", _layer(b"one"), {})
        monkeypatch.setenv("IMAGES_PASSWORD", "correct horse")
        access = RegistryAccess("anna", password_variable="IMAGES_PASSWORD")
        runtime = connect(timeout_seconds=20, logins={f"127.0.0.1:{registry.port}": access})
        runtime.do(PullImage(registry.reference("private/web:1")))
        assert _local(runtime, registry.reference("private/web:1")) is not None

    @pytest.mark.parametrize("content", [None, "\n"], ids=["missing", "empty"])
    def test_a_password_file_that_says_nothing_is_named(
        self, registry: ImageRegistry, tmp_path: Path, content: str | None
    ) -> None:
        if content is not None:
            (tmp_path / "password").write_text(content)
        host = f"127.0.0.1:{registry.port}"
        runtime = connect(timeout_seconds=20, logins={host: RegistryAccess("anna", tmp_path / "password")})
        with pytest.raises(Refused, match=f"password for image registry {host}") as refusal:
            runtime.do(PullImage(registry.reference("private/web:1")))
        assert "credentials.registries" in refusal.value.hint

    def test_a_credential_helper_that_is_not_there_is_named(
        self, registry: ImageRegistry, runtime: DockerRuntime, tmp_path: Path
    ) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"credsStore": "nowhere"}))
        with pytest.raises(Refused, match="docker-credential-nowhere") as refusal:
            runtime.do(PullImage(registry.reference("good/web:1")))
        assert "credential helper" in refusal.value.hint

    def test_a_removed_reference_is_gone_and_removing_it_again_is_done(
        self, registry: ImageRegistry, runtime: DockerRuntime
    ) -> None:
        registry.push("good/web:1", _layer(b"one"), {"Cmd": ["serve"]})
        reference = registry.reference("good/web:1")
        runtime.do(PullImage(reference))
        runtime.do(RemoveImage(reference))
        runtime.do(RemoveImage(reference))
        assert _local(runtime, reference) is None

    def test_an_image_in_use_stays(self, registry: ImageRegistry, runtime: DockerRuntime) -> None:
        registry.push("good/web:1", _layer(b"one"), {"Cmd": ["serve"]})
        reference = registry.reference("good/web:1")
        runtime.do(PullImage(reference))
        container = engine("create", reference)
        try:
            with pytest.raises(Conflict, match="using"):
                runtime.do(RemoveImage(reference))
        finally:
            engine("rm", container)
