"""A loaded project tells more than its document: where values stand, what was silent, what was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from text_repositories import TextFiles

from reconciler.errors import InvalidState, Mark
from reconciler.load.compose import ComposeRequest, Project, load_project


def load(texts: str | Mapping[str, str], **request: Any) -> Project:
    files = {"compose.yaml": texts} if isinstance(texts, str) else texts
    return load_project(TextFiles(files), ComposeRequest(**{"root": "/.repository", **request}))


def refusals(texts: str | Mapping[str, str], **request: Any) -> list[str]:
    with pytest.raises(InvalidState) as refused:
        load(texts, **request)
    return [f"{problem.code} {problem.mark} {problem.at}: {problem.message}" for problem in refused.value.problems]


def test_a_value_is_found_where_it_was_written_last() -> None:
    project = load(
        {
            "compose.yaml": "services:\n  web:\n    image: a\n    environment:\n      A: 1\n    ports:\n      - 80:80\n",
            "compose.override.yaml": "services:\n  web:\n    image: b\n    environment: [B=2]\n",
        }
    )
    web = ("services", "web")
    assert project.marks[(*web, "image")] == Mark("compose.override.yaml", 3, 5)
    assert project.marks[(*web, "environment", "A")] == Mark("compose.yaml", 5, 7)
    assert project.marks[(*web, "environment", "B")] == Mark("compose.override.yaml", 4, 19)
    assert project.marks[(*web, "ports", 0, "published")] == Mark("compose.yaml", 7, 9)


def test_a_value_of_an_extended_service_is_found_in_its_file() -> None:
    project = load(
        {
            "compose.yaml": "services: {web: {extends: {file: base/b.yaml, service: b}}}\n",
            "base/b.yaml": "services:\n  b:\n    image: b\n    volumes: [./data:/data]\n",
        }
    )
    assert project.marks[("services", "web", "image")] == Mark("base/b.yaml", 3, 5)
    assert project.document["services"]["web"]["volumes"][0]["source"] == "/.repository/base/data"


def test_only_what_stands_in_the_file_is_literal() -> None:
    project = load(
        {
            "compose.yaml": "services: {web: {image: 'w:${TAG}', user: '$$x', env_file: e.env, environment: [OUT, A=1]}}\n",
            "e.env": "E=secret\n",
        },
        environment={"TAG": "1", "OUT": "secret"},
    )
    web = ("services", "web")
    literal = {path[2:]: mark.literal for path, mark in project.marks.items() if path[:2] == web}
    assert literal[("image",)] is False
    assert literal[("user",)] is True
    assert {name: literal[("environment", name)] for name in "AE"} == {"A": True, "E": False}
    assert literal[("environment", "OUT")] is False


def test_variables_without_a_value_are_told_with_their_places() -> None:
    project = load("x-a: &a {A: '$A'}\nservices: {web: {image: 'w:${TAG}${TAG}', user: '${U:-u}', labels: *a}}\n")
    assert [(unset.name, str(unset.mark), unset.at) for unset in project.unset] == [
        ("A", "compose.yaml:1:10", "x-a.A"),
        ("TAG", "compose.yaml:2:18", "services.web.image"),
        ("A", "compose.yaml:1:10", "services.web.labels.A"),
    ]
    assert [problem.code for problem in project.warnings] == ["R016", "R016"]


def test_variables_of_a_base_nobody_extends_are_nobodys() -> None:
    project = load(
        {
            "compose.yaml": "services: {web: {extends: {file: base.yaml, service: b}}}\n",
            "base.yaml": "services: {b: {image: 'b:$B'}, other: {image: 'o:$O'}}\n",
        }
    )
    assert [unset.name for unset in project.unset] == ["B"]


def test_what_compose_takes_in_silence_is_a_trap() -> None:
    project = load(
        """
services:
  web:
    image: w
    command: serve | tee log
    mem_limit: 1.5
    volumes: ["v:/v", "./a:/a:wrong", "~/b:/b", "/c:/c:cached"]
volumes: {v: }
"""
    )
    assert sorted(trap.at for trap in project.traps) == [
        "services.web.command",
        "services.web.mem_limit",
        "services.web.volumes.0",
        "services.web.volumes.1",
        "services.web.volumes.2.source",
    ]
    assert project.document["services"]["web"]["volumes"][2]["source"] == "~/b"
    assert len({trap.code for trap in project.traps}) == 5


def test_home_is_used_when_it_is_given() -> None:
    project = load("services: {web: {image: w, volumes: ['~/b:/b']}}\n", home="/home/me")
    assert project.document["services"]["web"]["volumes"][0]["source"] == "/home/me/b"


def test_the_root_stands_for_the_repository() -> None:
    project = load(
        {"stacks/shop/compose.yaml": "services: {web: {image: w, volumes: ['./a:/a', '../b:/b', '/etc:/c']}}\n"},
        directory="stacks/shop",
    )
    sources = [volume["source"] for volume in project.document["services"]["web"]["volumes"]]
    assert sources == ["/.repository/stacks/shop/a", "/.repository/stacks/b", "/etc"]
    assert project.name == "shop"


def test_contents_from_variables_are_kept_out_of_the_document() -> None:
    project = load(
        "services: {web: {image: w, secrets: [s], configs: [c]}}\n"
        "secrets: {s: {environment: TOKEN}}\nconfigs: {c: {environment: MISSING}}\n",
        environment={"TOKEN": "hunter2"},
    )
    assert project.contents == {("secrets", "s"): "hunter2"}
    assert "hunter2" not in repr(project)


def test_every_file_read_is_an_input_in_order() -> None:
    project = load(
        {
            ".env": "A=1\n",
            "compose.yaml": "include: [sub/inc.yaml]\n"
            "services: {web: {extends: {file: b.yaml, service: b}, env_file: e.env}}\n",
            "b.yaml": "services: {b: {image: b}}\n",
            "e.env": "E=1\n",
            "sub/inc.yaml": "services: {inc: {image: i, profiles: [off], env_file: never.env}}\n",
            "sub/.env": "B=1\n",
        }
    )
    assert project.inputs == (".env", "compose.yaml", "b.yaml", "sub/.env", "sub/inc.yaml", "e.env")
    assert (project.disabled, project.profiles) == (("inc",), ("off",))


def test_one_run_finds_mistakes_of_every_stage() -> None:
    assert refusals(
        """
services:
  web:
    image: w:${TAG:?say which}
    ports: 80
    init: maybe
    deploy: {replcas: 3}
    networks: [nowhere]
    depends_on: [db, cache]
  db: {image: d, mem_limit: lots, healthcheck: {test: [nonsense]}}
"""
    ) == [
        "R017 compose.yaml:4:5 services.web.image: required variable TAG is missing a value: say which",
        "R024 compose.yaml:6:5 services.web.init: this is neither true nor false",
        "R030 compose.yaml:5:5 services.web.ports: ports must be a list, found an integer",
        'R034 compose.yaml:7:14 services.web.deploy.replcas: unknown key "replcas"',
        "R050 compose.yaml:10:18 services.db.mem_limit: this is no size",
        'R040 compose.yaml:8:16 services.web.networks.nowhere: network "nowhere" is not defined',
        'R044 compose.yaml:9:22 services.web.depends_on.cache: service "cache" is not defined',
        "R053 compose.yaml:10:49 services.db.healthcheck.test: a healthcheck.test must start with its kind",
    ]


def test_what_is_wrong_is_not_missing_too() -> None:
    assert refusals("services: {web: {image: [], depends_on: [db], volumes: ['data:/d']}, db: 5}\nvolumes: {data: 5}\n") == [
        "R030 compose.yaml:1:18 services.web.image: image must be a string, found a list",
        "R030 compose.yaml:1:70 services.db: db must be a mapping, found an integer",
        "R030 compose.yaml:2:11 volumes.data: data must be a mapping, found an integer",
    ]


def test_a_circle_of_dependencies_names_every_place() -> None:
    (refusal,) = refusals("services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, links: [a]}\n")
    assert "a (compose.yaml:2:3) -> b (compose.yaml:3:3) -> a (compose.yaml:2:3)" in refusal


def test_a_base_outside_of_the_repository_is_refused() -> None:
    (refusal,) = refusals("services: {web: {image: w, extends: {file: ../../etc/passwd, service: x}}}\n")
    assert refusal.startswith("R071")


def test_a_project_reads_at_most_64_files() -> None:
    files = {f"f{number}.yaml": f"services: {{s{number}: {{image: i}}}}\n" for number in range(70)}
    files["compose.yaml"] = f"include: [{', '.join(files)}]\nservices: {{web: {{image: w}}}}\n"
    assert {refusal.split()[0] for refusal in refusals(files)} == {"R015"}
