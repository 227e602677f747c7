"""Does git reach only what it may, with the right secrets, within its deadline, and say plainly what went wrong?"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from git_remotes import Remote, Web, make_certificate, program, serve

from reconciler.drivers.git import Credentials, GitSource, Limits
from reconciler.errors import ReconcilerError, Refused, Unreachable
from reconciler.load.giturl import parse_url

TOKEN = "s3cr3t-t0ken"
BASIC = "Basic Z2l0OnMzY3IzdC10MGtlbg=="  # git:s3cr3t-t0ken
REAL_GIT = next(Path(part) / "git" for part in os.environ["PATH"].split(":") if (Path(part) / "git").exists())


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    remote = Remote.make(tmp_path / "served/state.git")
    remote.commit({"compose.yaml": "services: {}\n"})
    return remote


@pytest.fixture
def web(remote: Remote) -> Iterator[Web]:
    with serve(Web(remote.path.parent)) as web:
        yield web


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


def fetch(
    url: str,
    directory: Path,
    credentials: Credentials | None = None,
    *,
    ambient: Mapping[str, str] | None = None,
    seconds: float = 20,
) -> str:
    """Fetch once and return the commit, after a look that nothing shown of the source holds the token."""
    limits = Limits(fetch_seconds=seconds, clone_seconds=seconds)
    ambient = {"PATH": os.environ["PATH"]} if ambient is None else ambient
    address = parse_url(url, allow_http=True, allow_file=True)
    source = GitSource(address, "main", directory, credentials=credentials, limits=limits, ambient=ambient)
    try:
        return source.fetch().id
    except ReconcilerError as error:
        _keeps_the_secret(error, error.hint, error.__cause__, source, credentials)
        raise
    finally:
        source.close()


def _keeps_the_secret(error: ReconcilerError, *shown: object) -> None:
    assert TOKEN not in f"{error} {error!r} {shown!r}"
    assert "\n" not in str(error)


def test_http_works_where_it_is_allowed(tmp_path: Path, remote: Remote, web: Web) -> None:
    assert fetch(web.url(), tmp_path / "clone") == remote.tip()
    later = remote.commit({"compose.yaml": "services: {web: {image: web}}\n"})
    assert fetch(web.url(), tmp_path / "clone") == later


@pytest.mark.parametrize(("username", "authorization"), [("git", BASIC), ("", f"Bearer {TOKEN}")])
def test_a_token_is_sent_as_configured(
    tmp_path: Path, remote: Remote, web: Web, token_file: Path, username: str, authorization: str
) -> None:
    web.authorization = authorization
    credentials = Credentials(token_file=token_file, username=username)
    assert fetch(web.url(), tmp_path / "clone", credentials) == remote.tip()


def test_a_token_may_come_from_a_variable(tmp_path: Path, remote: Remote, web: Web) -> None:
    web.authorization = BASIC
    ambient = {"PATH": os.environ["PATH"], "STATE_TOKEN": TOKEN}
    assert fetch(web.url(), tmp_path / "clone", Credentials(token_variable="STATE_TOKEN"), ambient=ambient) == remote.tip()


def test_a_token_that_changes_is_read_anew(tmp_path: Path, remote: Remote, web: Web, token_file: Path) -> None:
    web.authorization = BASIC
    source = GitSource(
        parse_url(web.url(), allow_http=True), "main", tmp_path / "clone", credentials=Credentials(token_file=token_file)
    )
    source.fetch()
    web.authorization = "Bearer nobody knows"
    with pytest.raises(Unreachable, match="does not let us in"):
        source.fetch()
    web.authorization = "Basic Z2l0Om5ldw=="  # git:new
    token_file.write_text("new")
    assert source.fetch().id == remote.tip()
    source.close()


def test_a_redirect_is_followed_only_without_a_token(tmp_path: Path, remote: Remote, web: Web, token_file: Path) -> None:
    with serve(Web(tmp_path, redirect=web.url("").rstrip("/").replace("127.0.0.1", "localhost"))) as first:
        with pytest.raises(Refused, match="redirects") as failure:
            fetch(first.url(), tmp_path / "clone", Credentials(token_file=token_file))
        assert "use the address" in failure.value.hint
        assert (first.seen, web.seen) == ([BASIC], [])
        assert fetch(first.url(), tmp_path / "clone") == remote.tip()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("", "holds no token"),
        (" \n", "holds no token"),
        ("a\nHost: evil", "holds no token"),
        ("\xff", "no token"),
    ],
    ids=["missing", "empty", "blank", "two-lines", "not-ascii"],
)
def test_a_token_file_without_a_token_is_named(tmp_path: Path, web: Web, content: str | None, message: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Unreachable, match=message) as failure:
        fetch(web.url(), tmp_path / "clone", Credentials(token_file=path))
    assert str(path) in str(failure.value)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "does not let us in"),
        (403, "does not let us in"),
        (404, "there is no repository"),
        (429, "trouble of its own"),
        (500, "trouble of its own"),
        (503, "trouble of its own"),
    ],
)
def test_what_a_server_refuses_is_told_in_our_words(
    tmp_path: Path, web: Web, token_file: Path, status: int, message: str
) -> None:
    web.status = status
    with pytest.raises(Unreachable, match=message):
        fetch(web.url(), tmp_path / "clone", Credentials(token_file=token_file))


def test_a_wrong_token_is_told_and_not_shown(tmp_path: Path, web: Web, token_file: Path) -> None:
    web.authorization = "Basic somebody-else"
    with pytest.raises(Unreachable, match="does not let us in") as failure:
        fetch(web.url(), tmp_path / "clone", Credentials(token_file=token_file))
    assert "--git-token-file" in failure.value.hint


def test_a_name_that_does_not_resolve_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="cannot be found by name"):
        fetch("https://nowhere.invalid/state.git", tmp_path / "clone")


def test_a_port_where_nobody_listens_is_told(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="nothing answers"):
            fetch(f"http://127.0.0.1:{free.getsockname()[1]}/state.git", tmp_path / "clone")


def test_tls_is_checked_against_the_given_authority(tmp_path: Path, remote: Remote) -> None:
    certificate = make_certificate(tmp_path)
    with serve(Web(remote.path.parent), certificate) as web:
        assert fetch(web.url(), tmp_path / "one", Credentials(ca_bundle=tmp_path / "cert.pem")) == remote.tip()
        with pytest.raises(Unreachable, match=r"certificate of .* is not trusted"):
            fetch(web.url(), tmp_path / "two")
        # What the environment says of git is no way around it.
        ambient = {"PATH": os.environ["PATH"], "GIT_SSL_NO_VERIFY": "1"}
        with pytest.raises(Unreachable, match=r"certificate of .* is not trusted"):
            fetch(web.url(), tmp_path / "three", ambient=ambient)


def test_a_redirect_from_tls_to_plain_http_is_not_followed(tmp_path: Path, remote: Remote, web: Web, token_file: Path) -> None:
    certificate = make_certificate(tmp_path)
    with serve(Web(tmp_path, redirect=web.url("").rstrip("/")), certificate) as first:
        for token in (token_file, None):
            credentials = Credentials(token_file=token, ca_bundle=tmp_path / "cert.pem")
            with pytest.raises(Refused, match="redirects elsewhere"):
                fetch(first.url(), tmp_path / "clone", credentials)
    assert web.seen == []


def test_a_hung_server_is_left_at_the_deadline_with_all_that_git_started(tmp_path: Path, web: Web) -> None:
    web.hang = True
    with pytest.raises(Unreachable, match=r"did not answer within 0\.5 s"):
        fetch(web.url(), tmp_path / "clone", seconds=0.5)
    assert web.seen
    assert not _command_lines_with(web.url())


def test_a_server_that_accepts_and_says_nothing_is_left_at_the_deadline(tmp_path: Path) -> None:
    silent = pytest.raises(Unreachable, match=r"did not answer within 0\.5 s")
    with socket.create_server(("127.0.0.1", 0)) as server, silent:
        fetch(f"http://127.0.0.1:{server.getsockname()[1]}/state.git", tmp_path / "clone", seconds=0.5)


def test_the_last_clone_stays_readable_while_the_server_is_down(tmp_path: Path, remote: Remote, web: Web) -> None:
    source = GitSource(parse_url(web.url(), allow_http=True), "main", tmp_path / "clone")
    good = source.fetch()
    web.status = 500
    with pytest.raises(Unreachable):
        source.fetch()
    assert source.files(good.id).read("compose.yaml") == b"services: {}\n"
    assert source.revision("HEAD") == good
    source.close()


def test_git_sees_neither_our_environment_nor_a_secret_on_its_command_line(
    tmp_path: Path, remote: Remote, web: Web, token_file: Path
) -> None:
    web.authorization = BASIC
    log = tmp_path / "log"
    path = program(tmp_path / "bin", "git", f'echo "$@" >> {log}\nenv >> {log}.env\nexec {REAL_GIT} "$@"\n')
    ambient = {
        "PATH": path(),
        "GIT_DIR": "/nowhere",
        "GIT_CONFIG_GLOBAL": "/nowhere",
        "DATABASE_PASSWORD": "x",
        "HOME": "/nowhere",
    }
    assert fetch(web.url(), tmp_path / "clone", Credentials(token_file=token_file), ambient=ambient) == remote.tip()
    assert TOKEN not in log.read_text()
    assert BASIC not in log.read_text()
    seen = {line.partition("=")[0] for line in (tmp_path / "log.env").read_text().splitlines()}
    assert seen.isdisjoint({"GIT_DIR", "DATABASE_PASSWORD"})
    assert "GIT_CONFIG_GLOBAL=/dev/null" in (tmp_path / "log.env").read_text()


def test_hooks_and_templates_of_the_machine_take_no_part(tmp_path: Path, remote: Remote) -> None:
    fetch(str(remote.path), tmp_path / "clone")
    hooks = tmp_path / "clone/repository.git/hooks"
    assert not hooks.exists()
    program(hooks, "reference-transaction", f"touch {tmp_path}/ran\n")
    remote.commit({"x": "1"})
    fetch(str(remote.path), tmp_path / "clone")
    assert not (tmp_path / "ran").exists()


def test_settings_of_the_user_take_no_part(tmp_path: Path, remote: Remote) -> None:
    (tmp_path / ".gitconfig").write_text(f'[url "{tmp_path}/elsewhere"]\n\tinsteadOf = {remote.path}\n')
    ambient = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    assert fetch(str(remote.path), tmp_path / "clone", ambient=ambient) == remote.tip()


def test_a_local_repository_of_another_user_is_read_when_the_operator_names_it(tmp_path: Path, remote: Remote) -> None:
    if os.getuid():
        pytest.fail("run the tests as root, who alone can give a repository to another user")
    os.chown(remote.path, 12345, 12345)
    assert fetch(str(remote.path), tmp_path / "clone") == remote.tip()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 127\n", None),
        ("echo git version 2.30.9\n", r"git version 2\.30\.9 is too old"),
        ("echo rubbish\n", "rubbish is too old"),
    ],
    ids=["broken", "old", "rubbish"],
)
def test_an_old_git_is_named(tmp_path: Path, remote: Remote, script: str, message: str | None) -> None:
    path = program(tmp_path / "bin", "git", script)
    with pytest.raises(Unreachable, match=message) as failure:
        fetch(str(remote.path), tmp_path / "clone", ambient={"PATH": path()})
    assert "install git 2.31 or newer" in failure.value.hint


def test_a_missing_git_is_named(tmp_path: Path, remote: Remote) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Unreachable, match="git was not found"):
        fetch(str(remote.path), tmp_path / "clone", ambient={"PATH": str(tmp_path / "empty")})


def test_a_reader_that_hangs_is_replaced(tmp_path: Path, remote: Remote) -> None:
    script = f'case "$*" in *cat-file*) [ -e {tmp_path}/hung ] || {{ touch {tmp_path}/hung; sleep 61; }};; esac\n'
    path = program(tmp_path / "bin", "git", script + f'exec {REAL_GIT} "$@"\n')
    address = parse_url(str(remote.path), allow_file=True)
    source = GitSource(address, "main", tmp_path / "clone", limits=Limits(local_seconds=1), ambient={"PATH": path()})
    assert source.fetch().id == remote.tip()
    assert (tmp_path / "hung").exists()
    assert not _command_lines_with("sleep\x0061")
    source.close()


# ssh: a program of that name notes how it was called, then stands for the other machine.
STAND_IN = 'printf "%s\\n" "$@" > {log}\nfor last; do :; done\nexec sh -c "$last"\n'


def test_ssh_asks_nobody_and_trusts_only_known_hosts(tmp_path: Path, remote: Remote) -> None:
    path = program(tmp_path / "bin", "ssh", STAND_IN.format(log=tmp_path / "log"))
    credentials = Credentials(ssh_key=Path("/keys/de ploy%h"), known_hosts=Path("/keys/known"))
    url = f"ssh://git@example.org:2222{remote.path}"
    assert fetch(url, tmp_path / "clone", credentials, ambient={"PATH": path()}) == remote.tip()
    options = (tmp_path / "log").read_text().splitlines()
    assert options[:2] == ["-F", "/dev/null"]
    assert {
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        'IdentityFile="/keys/de ploy%%h"',
        'UserKnownHostsFile="/keys/known"',
    } <= set(options)
    assert options[-2] == "git@example.org"


def test_the_short_ssh_form_works_too(tmp_path: Path, remote: Remote) -> None:
    path = program(tmp_path / "bin", "ssh", STAND_IN.format(log=tmp_path / "log"))
    assert fetch(f"git@example.org:{remote.path}", tmp_path / "clone", ambient={"PATH": path()}) == remote.tip()


@pytest.mark.parametrize(
    ("complaint", "message", "hint"),
    [
        ("Host key verification failed.", "host key of .* is unknown or has changed", "--git-known-hosts"),
        ("git@example.org: Permission denied (publickey).", "does not let us in", "--git-ssh-key"),
        ("ssh: Could not resolve hostname example.org: Name or service not known", "cannot be found by name", "address"),
        ("ssh: connect to host example.org port 22: Connection refused", "nothing answers", "firewall"),
        ("ssh: connect to host example.org port 22: Connection timed out", "did not answer in time", ""),
        ("ERROR: Repository not found.", "there is no repository", "may read it"),
        ("\x1b[31msomething new\x1b[0m", r"did not answer as expected: \?\[31msomething new\?\[0m", ""),
    ],
)
def test_what_ssh_complains_about_is_told_in_our_words(tmp_path: Path, complaint: str, message: str, hint: str) -> None:
    path = program(tmp_path / "bin", "ssh", f"printf '%s\\n' '{complaint}' >&2\nexit 255\n")
    with pytest.raises(Unreachable, match=message) as failure:
        fetch("git@example.org:state.git", tmp_path / "clone", ambient={"PATH": path()})
    assert hint in failure.value.hint


def test_a_remote_that_never_stops_talking_is_cut_off(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "ssh", "yes noise >&2\n")
    with pytest.raises(Unreachable, match="printed more than 16 MiB"):
        fetch("git@example.org:state.git", tmp_path / "clone", ambient={"PATH": path()})
    assert not _command_lines_with("yes\0noise")


def _command_lines_with(text: str) -> list[bytes]:
    """Return the command lines of running processes that hold this text."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if text.encode() in line:
            found.append(line)
    return found
