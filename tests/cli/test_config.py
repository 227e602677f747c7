"""`reconciler config` prints what docker compose config prints, on the real file system."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from reconciler.cli import config
from reconciler.errors import UsageError

SHOP = """
services:
  web: {image: "web:${TAG:-1}", volumes: ["data:/data"], networks: [front], labels: {price: $$5}}
  api: {build: ., profiles: [more]}
networks: {front: }
volumes: {data: }
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "compose.yaml").write_text(SHOP, "utf-8")
    monkeypatch.chdir(directory)
    return directory


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    config.configure(parser)
    return config.run(parser.parse_args(words))


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["--services"], "web\n"),
        (["--services", "--profile", "more"], "api\nweb\n"),
        (["--images", "--profile", "*"], "shop-api\nweb:1\n"),
        (["--volumes"], "data\n"),
        (["--networks"], "front\n"),
        (["--profiles"], "more\n"),
        (["--quiet"], ""),
    ],
)
def test_a_listing_prints_one_name_a_line(
    shop: Path, capsys: pytest.CaptureFixture[str], words: list[str], printed: str
) -> None:
    assert run(*words) == 0
    assert capsys.readouterr() == (printed, "")


def test_json_doubles_the_dollar_so_that_compose_reads_it_again(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--format", "json", "-p", "mine") == 0
    project = json.loads(capsys.readouterr().out)
    assert (project["name"], project["services"]["web"]["labels"]) == ("mine", {"price": "$$5"})


def test_yaml_is_the_default_and_starts_with_the_name(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert capsys.readouterr().out.startswith("name: shop\nservices:\n  web:\n    image: web:1\n")


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["--images"], "shop-api\nweb:${TAG:-1}\n"),
        (["--services"], "api\nweb\n"),
        (["--profiles"], "more\n"),
        (["--quiet"], ""),
    ],
)
def test_a_listing_without_interpolation_leaves_variables_and_names_every_service(
    shop: Path, capsys: pytest.CaptureFixture[str], words: list[str], printed: str
) -> None:
    assert run("--no-interpolate", *words) == 0
    assert capsys.readouterr() == (printed, "")


HASHES = {
    "api": "8ed9276b9b43971f5e501d66147c519a039b4cf02cb7c2f3b6c3aa25e8d28823",
    "web": "974c574c964e768b21d644cd8e8fc6982c55b3307a6ceaf520630e31f4fdf7ff",
}


@pytest.mark.parametrize(
    ("wanted", "profiles", "named"),
    [("*", [], ["web"]), ("*", ["--profile", "more"], ["api", "web"]), ("web,api", [], ["api", "web"]), ("api", [], ["api"])],
)
def test_a_hash_is_printed_for_each_service(
    shop: Path, capsys: pytest.CaptureFixture[str], wanted: str, profiles: list[str], named: list[str]
) -> None:
    assert run("--hash", wanted, *profiles) == 0
    assert capsys.readouterr() == ("".join(f"{name} {HASHES[name]}\n" for name in named), "")


def test_a_hash_of_no_service_is_an_error(shop: Path) -> None:
    with pytest.raises(UsageError, match="no such service: cache"):
        run("--hash", "web,cache")


def test_without_interpolation_no_dollar_is_doubled(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--no-interpolate", "--format", "json") == 0
    web = json.loads(capsys.readouterr().out)["services"]["web"]
    assert (web["image"], web["labels"]) == ("web:${TAG:-1}", {"price": "$$5"})


def test_yaml_without_interpolation_is_sorted(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "compose.yaml").write_text("x-n: $N\nservices: {b: {scale: $S, image: i}, a: {image: i}}\n", "utf-8")
    assert run("--no-interpolate") == 0
    written = """
name: shop
networks:
  default:
    name: shop_default
services:
  a:
    image: i
    networks:
      default: null
  b:
    image: i
    networks:
      default: null
    scale: "$S"
x-n: "$N"
"""
    assert capsys.readouterr() == (written.lstrip(), "")


def test_a_file_given_from_elsewhere_brings_its_directory(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop.parent)
    assert run("-f", "shop/compose.yaml", "--images") == 0
    assert capsys.readouterr().out == "web:1\n"


def test_problems_name_the_file_from_where_one_stands(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "more.yaml").write_text("services: {web: {deploy: {replcas: 3}}}\n", "utf-8")
    assert run("-f", "compose.yaml", "-f", "more.yaml") == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert 'error[R034]: unknown key "replcas"\n  --> more.yaml:1:27   services.web.deploy.replcas\n' in shown.err
    assert 'did you mean "replicas"?' in shown.err


def test_warnings_go_to_stderr_and_the_project_is_printed(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "compose.yaml").write_text("version: '3'\nservices: {web: {image: 'web:$NONE'}}\n", "utf-8")
    assert run("--images") == 0
    shown = capsys.readouterr()
    assert shown.out == "web:\n"
    assert shown.err.count("warning[") == 2
