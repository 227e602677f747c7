"""What may git see: which settings, and which secrets of which remote?

git starts from an empty environment, so that nobody's configuration, hooks or prompts take part. Secrets travel in
environment variables of the one process that needs them, never on a command line, which every user can read.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import Unreachable
from reconciler.load.giturl import GitUrl


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the secrets of a remote are kept; never a secret itself. They are read anew for every call.

    token_file      a file that holds an access token for https
    token_variable  an environment variable that holds it instead
    username        sent with the token; "" sends it as a bearer token
    ssh_key         a private key file; without it ssh asks the agent
    known_hosts     the hosts ssh trusts; without it those of the user
    ca_bundle       certificates to trust instead of the system's
    """

    token_file: Path | None = None
    token_variable: str = ""
    username: str = "git"
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    ca_bundle: Path | None = None

    def token(self, ambient: Mapping[str, str]) -> str:
        """Return the token, or "" when none is configured. Raises Unreachable when it cannot be had."""
        if self.token_file:
            return _usable(_content(self.token_file), f"token file {self.token_file}")
        if self.token_variable:
            return _usable(ambient.get(self.token_variable, ""), f"environment variable {self.token_variable}")
        return ""


def local_environment(ambient: Mapping[str, str], clones: Iterable[Path]) -> dict[str, str]:
    """Return what git gets for work on these clones of ours: no remote, no secret."""
    return _base(ambient) | _settings(_local_settings(clones))


def remote_environment(
    url: GitUrl, credentials: Credentials, ambient: Mapping[str, str], clones: Iterable[Path]
) -> dict[str, str]:
    """Return what git gets to talk to this one remote. Raises Unreachable when a secret cannot be read."""
    settings = _local_settings(clones)
    if credentials.ca_bundle:
        settings.append(("http.sslCAInfo", str(credentials.ca_bundle)))
    if url.scheme in ("https", "http") and (token := credentials.token(ambient)):
        header = f"Authorization: {_authorization(credentials.username, token)}"
        settings.append((f"http.{url.scheme}://{url.host}/.extraHeader", header))
        # After a redirect git sends the header of the first host to the second.
        settings.append(("http.followRedirects", "false"))
    passed = {name: ambient[name] for name in _PASSED_TO_REMOTES if name in ambient}
    transport = {"GIT_ALLOW_PROTOCOL": _PROTOCOLS[url.scheme], "GIT_SSH_COMMAND": _ssh_command(credentials)}
    return _base(ambient) | passed | transport | _settings(settings)


def trust_file(url: GitUrl) -> str:
    """Return a git configuration that trusts a local repository whoever owns it: the operator named and allowed it.

    The other side of a local transport gets no settings from the environment, only from files.
    """
    place = url.path.rstrip("/")
    quoted = place.replace("\\", "\\\\").replace('"', '\\"')
    return "[safe]\n" + "".join(f'\tdirectory = "{quoted}{ending}"\n' for ending in ("", "/.git", ".git"))


def secrets(credentials: Credentials, ambient: Mapping[str, str]) -> tuple[str, ...]:
    """Return every text that must not be shown, also in the form it travels in."""
    try:
        token = credentials.token(ambient)
    except Unreachable:
        return ()
    return (token, _authorization(credentials.username, token).split()[1]) if token else ()


_PROTOCOLS = {"https": "https", "http": "http:https", "ssh": "ssh", "file": "file"}
_PASSED_TO_REMOTES = (
    "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
)  # fmt: skip
_SETTINGS = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("credential.helper", ""),
    ("transfer.fsckObjects", "true"),
    # Old history of well-known projects holds these slips of old programs; they harm nobody.
    ("fetch.fsck.badTimezone", "ignore"),
    ("fetch.fsck.missingSpaceBeforeDate", "ignore"),
    ("fetch.fsck.zeroPaddedFilemode", "ignore"),
    ("fetch.recurseSubmodules", "false"),
    # In the foreground, so that the deadline and the lock cover it too.
    ("gc.autoDetach", "false"),
    ("maintenance.autoDetach", "false"),
]


def _base(ambient: Mapping[str, str]) -> dict[str, str]:
    return {
        "PATH": ambient.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": ambient.get("HOME", "/nonexistent"),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "SSH_ASKPASS_REQUIRE": "never",
    }


def _local_settings(clones: Iterable[Path]) -> list[tuple[str, str]]:
    return [*_SETTINGS, *(("safe.directory", str(clone)) for clone in clones)]


def _settings(settings: list[tuple[str, str]]) -> dict[str, str]:
    """Return settings as git-config(1) takes them from the environment."""
    numbered = {"GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings):
        numbered |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return numbered


def _authorization(username: str, token: str) -> str:
    """Return the value of an Authorization header: RFC 7617 with a user, RFC 6750 without."""
    if not username:
        return f"Bearer {token}"
    return "Basic " + base64.b64encode(f"{username}:{token}".encode()).decode()


def _ssh_command(credentials: Credentials) -> str:
    # /dev/null: a user's ssh configuration could name a proxy command or another host.
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=15", "ForwardAgent=no"]
    if credentials.known_hosts:
        options.append(f"UserKnownHostsFile={_ssh_path(credentials.known_hosts)}")
    if credentials.ssh_key:
        options += ["IdentitiesOnly=yes", "IdentityAgent=none", f"IdentityFile={_ssh_path(credentials.ssh_key)}"]
    return shlex.join(["ssh", "-F", "/dev/null", *(word for option in options for word in ("-o", option))])


def _ssh_path(path: Path) -> str:
    """Quote a path for ssh's own option syntax, where a percent sign starts a token."""
    return '"' + str(path).replace("%", "%%") + '"'


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Unreachable(f"token file {path} cannot be read: {reason}", hint="check --git-token-file") from error


def _usable(token: str, origin: str) -> str:
    # A line break inside would end the header it is sent in.
    if (token := token.strip()) and token.isascii() and token.isprintable():
        return token
    raise Unreachable(f"{origin} holds no token", hint="put the token there, alone on one line")
