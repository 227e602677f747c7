"""Which Git addresses, branches and commit names are safe to hand to git?

Git takes some addresses as commands to run (`ext::`, a host that begins with `-`), so nothing reaches it but the forms
listed here. Branch names follow git-check-ref-format(1), commit names a small part of gitrevisions(7).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reconciler.errors import InvalidState, Mark, Problem, UsageError

ADDRESS_CHARACTERS = 2048


@dataclass(frozen=True, slots=True)
class GitUrl:
    """An address that passed; it holds no secret, so it may be shown.

    scheme  https, http, ssh or file
    login   the user ssh logs in as; "" when the address names none
    host    in lower case, with its port; "" for a local path
    path    what follows the host; absolute for a local path
    text    what git gets
    """

    scheme: str
    login: str
    host: str
    path: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class CommitName:
    """A name of a commit: `base` is HEAD, a branch or an id; `steps` goes back from there, as in `~2` or `^`."""

    base: str
    steps: str

    @property
    def may_be_id(self) -> bool:
        """Say whether it could be a commit id, whole or shortened."""
        return bool(_COMMIT_ID.fullmatch(self.base))

    @property
    def is_whole_id(self) -> bool:
        return self.may_be_id and len(self.base) == 40


def parse_url(
    text: str, *, allow_file: bool = False, allow_http: bool = False, mark: Mark | None = None, at: str = ""
) -> GitUrl:
    """Return the address of a repository. Raises InvalidState with all that is wrong; no message holds a credential.

    Accepted: `https://host/path`, `ssh://user@host/path`, `user@host:path`; where the operator allows it also
    `http://host/path`, `file:///path` and `/path`.
    """
    found = [*_hostile(text)] or [*_refusals(text, _split(text), allow_file, allow_http)]
    url = None if found else _split(text)
    if url is None:
        raise InvalidState(Problem(code, message, mark, at, hint) for code, message, hint in found)
    return url


def check_branch(name: str, *, mark: Mark | None = None, at: str = "") -> str:
    """Return the branch's name if git would accept it. Raises InvalidState."""
    if not (fault := _branch_fault(name)):
        return name
    hint = "write the branch's short name, for example main"
    raise InvalidState([Problem("R085", f"branch {_quoted(name)} {fault}", mark, at, hint)])


def parse_commit_name(name: str) -> CommitName:
    """Split a name such as `HEAD~1`, `main` or `3f2a9c1^`. Raises UsageError for everything else git would take."""
    match = _COMMIT_NAME.fullmatch(name)
    if match and (match["base"] == "HEAD" or not _branch_fault(match["base"])):
        return CommitName(match["base"], match["steps"])
    raise UsageError(f"{_quoted(name)} names no commit", hint="give a commit id, a branch, or HEAD~1")


def parse_folder(path: str, *, mark: Mark | None = None, at: str = "") -> str:
    """Return a directory inside the repository without `./` and trailing slash; "" is its root. Raises InvalidState."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or not path.isprintable():
        hint = "write it relative to the root of the repository, for example environments/production"
        raise InvalidState([Problem("R079", f"path {_quoted(path)} is not inside the repository", mark, at, hint)])
    return "/".join(parts)


Refusal = tuple[str, str, str]

_COMMIT_ID = re.compile(r"[0-9a-f]{4,40}")
_COMMIT_NAME = re.compile(r"(?P<base>[^~^]+)(?P<steps>(?:~[0-9]{0,6}|\^[0-9]?)*)")
_BRANCH_FAULTS: list[tuple[Callable[[str], object], str]] = [
    (re.compile(r"^$").search, "has no name"),
    (lambda name: not name.isprintable() or " " in name, "holds a blank or an unseen sign"),
    (re.compile(r"^-").search, 'begins with "-"'),
    (re.compile(r"\.\.").search, 'holds ".."'),
    (re.compile(r"@\{").search, 'holds "@{"'),
    (re.compile(r"[~^:?*\[\\]").search, "holds one of ~ ^ : ? * [ \\"),
    (re.compile(r"^/|//|/$").search, "has an empty part"),
    (re.compile(r"(^|/)\.").search, 'has a part that begins with "."'),
    (re.compile(r"\.$|\.lock(/|$)").search, 'has a part that ends in "." or ".lock"'),
    (re.compile(r"^@$|^HEAD$").search, "is a name git keeps for itself"),
    (re.compile(r"^refs/").search, "is a full reference"),
    (re.compile(r".{201}").search, "is longer than 200 characters"),
]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(.*)")
_HELPER = re.compile(r"([A-Za-z0-9][A-Za-z0-9+.-]*)::")
_SCP = re.compile(r"((?:[^/:@\[]+@)?(?:[^/:\[]+|\[[^/\]]*\])):(.+)")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_LOGIN = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_ESCAPED_CONTROL = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])")
_USER = re.compile(r"//[^/]*@")
# Wherever it stands: a mistyped scheme reads as an ssh host, and the password as a part of its path.
_PASSWORD = re.compile(r":[^/@]*@")
# `https:/host/path` would else pass as the path `/host/path` on an ssh host called https.
_SCHEMES = ("https", "http", "ssh", "file", "git", "ftp", "ftps")

_FORMS = "write https://host/path, ssh://user@host/path or user@host:path"
_FILE_HINT = "let the operator allow it with --git-allow-file"
_HTTP_HINT = "use https://, or let the operator allow it with --git-allow-http"
_TOKEN_HINT = "remove it and name a file that holds the token with --git-token-file"


def _hostile(text: str) -> Iterator[Refusal]:
    """What is refused before the address is taken apart, since taking it apart could not be trusted."""
    if helper := _HELPER.match(text):
        yield "R080", f'repository address begins with "{helper[1]}::", which makes git run a program', _FORMS
        return
    misread = re.search(r"[ \\]", text) and not text.startswith("/")
    if misread or not text.isprintable() or _ESCAPED_CONTROL.search(text):
        message = "repository address holds a blank, a backslash, a line break or a control character"
        yield "R083", message, "write it on one line, and a blank as %20"
    if text.startswith("-"):
        yield "R082", 'repository address begins with "-", which git would read as an option', "remove the dash"
    if len(text) > ADDRESS_CHARACTERS:
        yield "R080", f"repository address is longer than {ADDRESS_CHARACTERS} characters", _FORMS


def _split(text: str) -> GitUrl | None:
    if text.startswith("/"):
        return GitUrl("file", "", "", text, text)
    if match := _SCHEME.fullmatch(text):
        scheme, (login, _, host) = match[1].lower(), match[2].rpartition("@")
        path = match[3] if scheme == "file" else match[3].removeprefix("/")
        return GitUrl(scheme, login, host.lower(), path, text)
    if (match := _SCP.fullmatch(text)) and match[1].lower() not in _SCHEMES:
        login, _, host = match[1].rpartition("@")
        return GitUrl("ssh", login, host.lower(), match[2], text)
    return None


def _refusals(text: str, url: GitUrl | None, allow_file: bool, allow_http: bool) -> Iterator[Refusal]:
    if secret := _secret_part(text, url):
        yield "R084", f"repository address {_masked(text)} holds {secret}, no place for credentials", _TOKEN_HINT
    elif url is None:
        yield "R080", f"{_masked(text)} is no repository address", _FORMS
    else:
        yield from _scheme_refusals(url, allow_file, allow_http)
        yield from _host_refusals(url)
        yield from _path_refusals(url)


def _secret_part(text: str, url: GitUrl | None) -> str:
    """Name the part that could hold a secret: an https user (often a token), a password, a query; "" for none."""
    if url and url.scheme == "file":
        return ""
    is_plain_login = url and url.scheme == "ssh" and _LOGIN.fullmatch(url.login)
    if _PASSWORD.search(text) or (_USER.search(text) and not is_plain_login):
        return "a user or password"
    return "a query" if re.search(r"[?#]", text) else ""


def _scheme_refusals(url: GitUrl, allow_file: bool, allow_http: bool) -> Iterator[Refusal]:
    match url.scheme:
        case "https" | "ssh":
            return
        case "file" if not allow_file:
            yield "R081", "a repository on this machine's disk needs the operator's permission", _FILE_HINT
        case "http" if not allow_http:
            yield "R081", "http:// sends files and credentials unencrypted", _HTTP_HINT
        case "file" | "http":
            return
        case other:
            yield "R080", f"{other}:// is no accepted way to reach a repository", _FORMS


def _host_refusals(url: GitUrl) -> Iterator[Refusal]:
    if url.scheme == "file":
        if url.host:
            yield "R080", f"repository address {_masked(url.text)} names a host for a local path", "write file:///path"
    elif url.host.startswith("-") or url.login.startswith("-"):
        yield "R082", 'the host of the repository begins with "-", which ssh would read as an option', "remove the dash"
    elif not (_HOST.fullmatch(url.host) and _LOGIN.fullmatch(url.login)):
        hint = "use letters, digits, dots and dashes; write an international name in its xn-- form"
        yield "R080", f"repository address {_masked(url.text)} has no valid host", hint


def _path_refusals(url: GitUrl) -> Iterator[Refusal]:
    if not url.path.strip("/"):
        yield "R080", f"repository address {_masked(url.text)} names no repository", _FORMS
    elif url.path.startswith("-"):
        yield "R082", 'the path of the repository begins with "-", which git would read as an option', "remove the dash"


def _branch_fault(name: str) -> str:
    """Say what git-check-ref-format(1) has against the name; "" for nothing."""
    return next((fault for is_at_fault, fault in _BRANCH_FAULTS if is_at_fault(name)), "")


def _masked(text: str) -> str:
    """Show an address without what could be a secret."""
    return _quoted(re.sub(r"[^/@]*@", "***@", re.sub(r"[?#].*", "?***", text, flags=re.DOTALL)))


def _quoted(text: str) -> str:
    """Show what a person wrote on one line of bounded length."""
    visible = text if text.isprintable() else ascii(text)[1:-1]
    return f'"{visible}"' if len(visible) <= 120 else f'"{visible[:120]}…"'
