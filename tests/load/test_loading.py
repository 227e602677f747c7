"""A revision is loaded whole, as a function of its files and the operator's word alone."""

from __future__ import annotations

import os

import pytest
from text_repositories import loaded, told

from reconciler.load.loading import LoadSettings
from reconciler.model.desired import Heal, SyncMode
from reconciler.model.policy import Policy, Preset

WEB = "services: {web: {image: web:1}}"


def environment(stacks: str, more: str = "") -> str:
    return f"api: v1\nname: production\nstacks: {stacks}\n{more}"


def test_one_compose_file_is_one_stack_by_the_name_it_says() -> None:
    desired = loaded({"compose.yaml": f"name: shop\n{WEB}"}, LoadSettings("clone-of-mine"))
    (stack,) = desired.stacks
    assert (desired.environment.name, stack.name, stack.project, stack.path) == ("shop", "shop", "shop", "")
    assert stack.services[0].id == "shop/web"


def test_one_compose_file_without_a_name_takes_the_name_of_its_place() -> None:
    desired = loaded({"docker-compose.yml": WEB}, LoadSettings("My Shop"))
    assert (desired.environment.name, desired.stacks[0].name, desired.stacks[0].project) == ("myshop",) * 3


@pytest.mark.parametrize(("on_failure", "action"), [("pause", "pause"), ("rollback", "rollback"), ("revert", "rollback")])
def test_a_rollout_that_pauses_on_failure_pauses_for_single_replicas_too(on_failure: str, action: str) -> None:
    compose = f"services: {{web: {{image: web:1, x-rollout: {{on_failure: {on_failure}}}}}}}"
    (stack,) = loaded({"compose.yaml": compose}, LoadSettings("shop")).stacks
    assert stack.services[0].update.failure_action == action


def test_nothing_to_deploy_is_an_error_never_an_empty_state() -> None:
    assert told({"README": "hello"}) == ["R105 . | there is neither reconciler.yaml nor a compose file"]
    files = {"reconciler.yaml": environment("auto"), "README": "hello"}
    assert told(files) == ["R105 reconciler.yaml:3:1 | no directory holds a compose file"]


def test_auto_finds_every_directory_with_a_compose_file() -> None:
    files = {
        "reconciler.yaml": environment("auto"),
        "compose.yaml": WEB,
        "one/compose.yml": WEB,
        "deep/er/docker-compose.yaml": WEB,
        ".github/compose.yaml": WEB,
        "overrides/one.yaml": "services: {web: {deploy: {replicas: 2}}}",
        "docs/readme.md": "",
    }
    desired = loaded(files)
    assert {stack.name: stack.path for stack in desired.stacks} == {"er": "deep/er", "one": "one", "production": ""}
    assert desired.stack("one").service("web").replicas == 2


def test_auto_refuses_two_directories_of_one_name() -> None:
    files = {"reconciler.yaml": environment("auto"), "a/web/compose.yaml": WEB, "b/web/compose.yaml": WEB}
    assert told(files) == ["R107 reconciler.yaml:3:1 | a/web and b/web would both be the stack web"]


def test_stacks_come_with_needs_first() -> None:
    files = {
        "reconciler.yaml": environment("{a: {path: a, needs: [c]}, b: {path: b}, c: {path: c}}"),
        "a/compose.yaml": WEB,
        "b/compose.yaml": WEB,
        "c/compose.yaml": WEB,
    }
    assert [stack.name for stack in loaded(files).stacks] == ["b", "c", "a"]


def test_a_stack_is_named_by_its_key_unless_someone_says_a_project() -> None:
    files = {
        "reconciler.yaml": environment("{a: {path: a}, b: {path: b, project: said}, c: {path: c}}"),
        "a/compose.yaml": WEB,
        "b/compose.yaml": f"name: written\n{WEB}",
        "c/compose.yaml": f"name: written\n{WEB}",
    }
    assert {stack.name: stack.project for stack in loaded(files).stacks} == {"a": "a", "b": "said", "c": "written"}


def test_variables_come_from_the_repository_and_the_operator_who_wins() -> None:
    files = {
        "reconciler.yaml": environment("{shop: {path: shop, environment: {A: entry, B: entry, C: 3}}}"),
        "shop/.env": "A=dotenv\nD=dotenv",
        "shop/compose.yaml": "services: {web: {image: 'web:$A-$B-$C-$D-$E'}}",
    }
    settings = LoadSettings(environment={"shop": {"B": "operator", "E": "operator"}, "blog": {"A": "other"}})
    assert loaded(files, settings).stack("shop").service("web").image == "web:entry-operator-3-dotenv-operator"


def test_no_variable_of_this_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERSION", "7")
    assert os.environ["VERSION"] == "7"
    said = told({"compose.yaml": "name: shop\nservices: {web: {image: 'web:$VERSION', environment: [VERSION]}}"})
    assert said == [
        "R180 compose.yaml:2:18 | variable VERSION is not set",
        "R182 compose.yaml:2:55 | VERSION has no value anywhere, so the container does not get it",
    ]


def test_the_override_of_a_stack_is_its_last_file() -> None:
    files = {
        "reconciler.yaml": environment("{shop: {path: shop}}"),
        "shop/compose.yaml": (
            "services: {web: {image: web:1, x-image: {policy: digest},"
            " deploy: {replicas: 1, resources: {limits: {memory: 1g}}}}}"
        ),
        "overrides/shop.yaml": (
            'services: {web: {image: "web:2", deploy: {replicas: 4, resources: {limits: {memory: 2g}},'
            ' x-reconciler-pin: {by: ann, until: "2026-05-31", reason: fair}}}}'
        ),
    }
    web = loaded(files).stack("shop").service("web")
    assert (web.image, web.replicas, web.container["HostConfig"]["Memory"]) == ("web:2", 4, 2 << 30)
    assert web.extensions["x-reconciler-pin"]["by"] == "ann"
    assert str(web.sources["deploy.replicas"]) == "overrides/shop.yaml:1:43"


def test_an_override_holds_nothing_else() -> None:
    files = {
        "reconciler.yaml": environment("{shop: {path: shop}}"),
        "shop/compose.yaml": WEB,
        "overrides/shop.yaml": (
            "services: {web: {image: web:2, environment: {A: b}, deploy: {mode: global}}}\nvolumes: {data: {}}"
        ),
        "overrides/gone.yaml": "services: {}",
    }
    assert told(files) == [
        "R106 overrides/gone.yaml | there is no stack gone for this override",
        "R106 overrides/shop.yaml:1:32 | environment has no place in an override",
        "R106 overrides/shop.yaml:1:62 | mode has no place in an override",
        "R106 overrides/shop.yaml:2:1 | volumes has no place in an override",
    ]


def test_an_override_sets_an_image_only_for_x_image() -> None:
    files = {
        "reconciler.yaml": environment("{shop: {path: shop}}"),
        "shop/compose.yaml": WEB,
        "overrides/shop.yaml": "services: {web: {image: web:2}}",
    }
    assert told(files) == ["R106 overrides/shop.yaml:1:18 | the override sets the image of web, which has no x-image"]


def test_the_nearest_setting_wins() -> None:
    files = {
        "reconciler.yaml": environment(
            "{a: {path: a}, b: {path: b, heal: 'off'}, c: {path: c, heal: 'off'}}",
            "heal: detect\nsync: manual\nignore: [labels]",
        ),
        "a/compose.yaml": WEB,
        "b/compose.yaml": WEB,
        "c/compose.yaml": (
            "x-reconciler: {heal: heal, sync: auto, ignore: [image]}\n"
            "services: {web: {image: web:1, x-reconciler: {heal: detect, ignore: [user]}}, api: {image: api:1}}"
        ),
    }
    desired = loaded(files)
    assert [desired.stack(name).heal for name in "abc"] == [Heal.DETECT, Heal.OFF, Heal.HEAL]
    assert [desired.stack(name).sync for name in "ac"] == [SyncMode.MANUAL, SyncMode.AUTO]
    assert desired.stack("a").service("web").ignore == ("labels",)
    web, api = desired.stack("c").service("web"), desired.stack("c").service("api")
    assert (web.heal_own, web.ignore, api.heal_own, api.ignore) == (Heal.DETECT, ("user",), None, ("image",))


def test_what_is_not_implemented_is_an_error_unless_the_repository_goes_on_without_it() -> None:
    compose = "services: {web: {image: web:1, isolation: default}}"
    files = {"reconciler.yaml": environment("{shop: {path: shop}}"), "shop/compose.yaml": compose}
    assert told(files) == ["R181 shop/compose.yaml:1:32 | isolation is not implemented"]
    lenient = {**files, "reconciler.yaml": environment("{shop: {path: shop, unsupported: warn}}")}
    desired = loaded(lenient)
    assert [warning.code for warning in desired.warnings] == ["R181"]
    assert desired.stack("shop").service("web").image == "web:1"


def test_volumes_are_pruned_only_where_the_repository_says_so() -> None:
    compose = (
        "x-reconciler: {prune_volumes: [cache]}\n"
        "services: {web: {image: web:1, volumes: ['cache:/cache', 'data:/data']}}\nvolumes: {cache: , data: }"
    )
    stack = loaded({"compose.yaml": compose}).stacks[0]
    assert {volume.key: volume.prune for volume in stack.volumes} == {"cache": True, "data": False}
    assert stack.prune_volumes == ("cache",)


def test_a_relative_data_directory_stands_below_host_root() -> None:
    files = {
        "reconciler.yaml": environment("{shop: {path: shop, host_root: /srv/repository}}"),
        "shop/compose.yaml": "services: {web: {image: web:1, volumes: ['./data:/data']}}",
    }
    web = loaded(files).stack("shop").service("web")
    assert "/srv/repository/shop/data:/data" in str(web.container["HostConfig"])


def test_the_operators_policy_is_held_against_everything() -> None:
    files = {"compose.yaml": "name: shop\nservices: {web: {image: web:1, privileged: true}}"}
    assert [line[:4] for line in told(files)] == ["R090"]
    assert told(files, LoadSettings(policy=Policy(Preset.OPEN))) == []
    assert told(files, LoadSettings(policy=Policy(allow={"shop/web": frozenset({"privileged"})}))) == []


def test_every_error_of_every_stack_is_told_at_once_and_warnings_come_last() -> None:
    files = {
        "reconciler.yaml": environment("{a: {path: a}, b: {path: b}, c: {path: c}}"),
        "a/compose.yaml": "services: {web: {imag: web:1}}",
        "b/compose.yaml": "version: '3'\nservices: {web: {image: web:1, restart: allways}}",
        "c/compose.yaml": "services: {web: {image: web:1, x-sync: {wav: 1}}}",
    }
    assert [line.partition(" |")[0] for line in told(files)] == [
        "R034 a/compose.yaml:1:18",
        "R183 b/compose.yaml:2:32",
        "R034 c/compose.yaml:1:41",
        "R039 b/compose.yaml:1:1",
    ]


def test_a_secret_committed_in_clear_is_a_warning() -> None:
    compose = (
        "name: shop\nservices: {web: {image: web:1, environment: {DB_PASSWORD: hunter2, TOKEN_FILE: /run/token},"
        " secrets: [key]}}\nsecrets: {key: {file: key.txt}}"
    )
    said = told({"compose.yaml": compose, "key.txt": "hunter2"})
    assert [line.partition(" |")[0] for line in said] == ["R194 compose.yaml:2:46", "R194 compose.yaml:3:17"]
    assert "hunter2" not in "".join(said)


def test_what_can_come_into_no_plan_may_use_what_nobody_declares() -> None:
    compose = """
        name: shop
        x-notes: $A
        services:
          web: {image: "web:1", build: {context: "../../$B", args: [C=$C], additional_contexts: {d: ../../d}}}
          debug: {image: "debug:$E", profiles: [debug], env_file: ../../e.env, volumes: ["~/f:/f"]}
    """
    assert told({"compose.yaml": compose}) == []


def test_what_a_service_takes_from_one_that_is_off_counts() -> None:
    compose = """
        name: shop
        services:
          web: {extends: base, profiles: [web]}
          base: {image: "base:$TAG", profiles: [base], labels: {a.b: $LABEL}}
          base.image: {image: "web:$MORE"}
    """
    environment = "api: v1\nname: n\nstacks: {shop: {path: ., profiles: [web]}}"
    said = [line.partition(",")[0] for line in told({"compose.yaml": compose, "reconciler.yaml": environment})]
    assert said == [
        "R180 compose.yaml:5:18 | variable TAG is not set",
        "R180 compose.yaml:5:65 | variable LABEL is not set",
        "R180 compose.yaml:6:24 | variable MORE is not set",
    ]


def test_what_an_anchor_says_is_told_once() -> None:
    compose = "name: shop\nx-env: &env {A: $A}\nservices: {a: {image: a, environment: *env}, b: {image: b, environment: *env}}"
    assert [line.partition(",")[0] for line in told({"compose.yaml": compose})] == [
        "R180 compose.yaml:2:14 | variable A is not set"
    ]


def test_waves_and_extensions_reach_the_planner() -> None:
    compose = "name: shop\nservices: {web: {image: web:1, x-sync: {wave: 2}, x-mine: 1}}"
    web = loaded({"compose.yaml": compose}).stacks[0].service("web")
    assert (web.wave, sorted(web.extensions)) == (2, ["x-sync"])


def test_an_empty_override_changes_nothing() -> None:
    files = {
        "reconciler.yaml": environment("{shop: {path: shop}}"),
        "shop/compose.yaml": WEB,
        "overrides/shop.yaml": "# none\n",
    }
    assert loaded(files).stack("shop").service("web").image == "web:1"
