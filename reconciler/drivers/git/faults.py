"""What did git complain about, and who acts on it?

git speaks to people, so its complaints are recognised by their words, in English (LC_ALL=C). What is not recognised
is passed on as Unreachable with git's own last line: the next turn tries again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from reconciler.drivers.git.process import Output
from reconciler.errors import ReconcilerError, Refused, Unreachable


class Damaged(Exception):
    """The clone on disk lacks or garbles something; a new one helps. Never leaves this driver."""


class BranchMissing(Exception):
    """The remote answered, and has no such branch or commit. Never leaves this driver."""


class Overtaken(Unreachable):
    """Somebody else moved the same reference of the clone meanwhile; asking again helps."""


def fault(output: Output, address: str, secrets: Iterable[str] = ()) -> Exception:
    """Return the error to raise for a run of git that failed. `address` is shown, `secrets` never are."""
    if _MISSING.search(output.err):
        return BranchMissing()
    if _OVERTAKEN.search(_own_words(output.err)):
        words = f"the clone of {address} was changed by somebody else at the same time: {_last_words(output.err, secrets)}"
        return Overtaken(words, hint="give each reconciler a state directory of its own")
    if _DAMAGED.search(_own_words(output.err)):
        return Damaged(_last_words(output.err, secrets))
    return _recognised(output.err, address) or Unreachable(
        f"repository {address} did not answer as expected: {_last_words(output.err, secrets)}"
    )


def remote_words(err: str, secrets: Iterable[str] = ()) -> str:
    """Return what the remote itself said, on one line and without secrets; "" when it said nothing."""
    said = [line.removeprefix("remote:").strip() for line in err.splitlines() if line.startswith("remote:")]
    telling = " ".join(filter(None, said))
    return _last_words(telling, secrets) if telling else ""


def _recognised(err: str, address: str) -> ReconcilerError | None:
    for pattern, error, message, hint in _COMPLAINTS:
        if pattern.search(err):
            return error(message.format(address=address), hint=hint)
    return None


def _own_words(err: str) -> str:
    """Leave out what the remote said: its damage is not ours to repair."""
    return "\n".join(line for line in err.splitlines() if not line.startswith("remote:"))


def _last_words(err: str, secrets: Iterable[str]) -> str:
    """Return the most telling line of what git printed, on one line, without secrets."""
    lines = [line.strip() for line in err.splitlines() if line.strip() and not _SAYS_NOTHING.search(line)]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines or ["no reason given"]
    masked = re.sub(r"//[^/@\s]*@", "//***@", telling[0])
    for secret in secrets:
        masked = masked.replace(secret, "***")
    return "".join(letter if letter.isprintable() else "?" for letter in masked)[:300]


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_SAYS_NOTHING = _words(r"could not read from remote", r"please make sure you have", r"^and the repository exists")
_MISSING = _words(r"couldn't find remote ref", r"not our ref", r"no such remote ref", r"unadvertised object")
_OVERTAKEN = _words(r"cannot lock ref .*: is at [0-9a-f]+ but expected", r"cannot lock ref .*: reference already exists")
_DAMAGED = _words(
    r"not a git repository",
    r"bad object",
    r"bad (numeric )?config",
    r"(object|pack)file .* (is empty|is corrupt|is far too short|cannot be|is not a GIT|claims to have|signature)",
    r"file .*\.(pack|idx) .*(too small|too short|corrupt|size)",
    r"index file .* (is too small|is corrupt)",
    r"object .* (is corrupt|cannot be read|is missing|not found)",
    r"(unable|failed|could not|cannot) (to )?(read|parse|unpack) (object|tree|commit|blob|sha1 file|.* header|[0-9a-f]{40})",
    r"missing (object|tree|blob|commit)",
    r"(broken|invalid|badly formed) (ref|sha1 pointer|HEAD)",
    r"unable to resolve reference",
    r"unable to create .*\.lock': File exists",
    r"unknown repository extension",
    r"expected git repo version",
    r"did not send all necessary objects",
    r"inflate: ",
)
_COMPLAINTS: list[tuple[re.Pattern[str], type[ReconcilerError], str, str]] = [
    (
        _words(r"no space left on device"),
        Unreachable,
        "the disk with the clone of {address} is full",
        "make room in the state directory",
    ),
    (
        _words(r"fsck error", r"error in (packed )?object", r"pack has bad object"),
        Refused,
        "repository {address} sent an object that git refuses as malformed or dangerous",
        "run `git fsck --strict` in the repository and rewrite what it names",
    ),
    (
        _words(r"dubious ownership"),
        Unreachable,
        "repository {address} belongs to another user, so git does not read it",
        "run reconciler as its owner, or change its owner",
    ),
    (
        _words(r"host key verification failed", r"remote host identification has changed", r"no .* host key is known"),
        Unreachable,
        "the ssh host key of {address} is unknown or has changed",
        "check the host's key with its owner, then add it to the file named with --git-known-hosts",
    ),
    (
        _words(
            r"authentication failed", r"could not read (username|password)", r"permission denied \(",
            r"terminal prompts disabled", r"returned error: 40[13]", r"invalid credentials", r"load key .*",
            r"http basic: access denied",
        ),
        Unreachable,
        "repository {address} does not let us in",
        "check the token (--git-token-file) or the ssh key (--git-ssh-key) and that it may read this repository",
    ),
    (
        _words(
            r"repository .*not found", r"returned error: 404", r"does not appear to be a git repository",
            r"does not exist", r"project you were looking for could not be found",
        ),
        Unreachable,
        "there is no repository {address}, or the credentials may not see it",
        "check the address, and that the token or key may read it",
    ),
    (
        _words(r"could not resolve", r"name or service not known", r"temporary failure in name resolution"),
        Unreachable,
        "the host of {address} cannot be found by name",
        "check the address and this machine's name servers",
    ),
    (
        _words(r"ssl certificate problem", r"certificate verif", r"unable to get local issuer", r"ssl", r"gnutls", r"tls"),
        Unreachable,
        "the certificate of {address} is not trusted, or TLS failed",
        "name the certificate authority's file with --git-ca-bundle",
    ),
    (
        _words(r"connection timed out", r"operation timed out", r"operation too slow"),
        Unreachable,
        "{address} did not answer in time",
        "",
    ),
    (
        _words(r"connection refused", r"failed to connect", r"couldn't connect", r"no route to host", r"unreachable"),
        Unreachable,
        "nothing answers at {address}",
        "check that the server runs and that no firewall stands between",
    ),
    (
        _words(r"returned error: (429|5\d\d)"),
        Unreachable,
        "the server of {address} reports trouble of its own",
        "",
    ),
    (
        _words(r"empty reply", r"hung up unexpectedly", r"early eof", r"unexpected disconnect", r"connection (was )?reset"),
        Unreachable,
        "{address} broke the connection off",
        "",
    ),
    (
        _words(r"returned error: 30\d", r"transport '.*' not allowed", r"protocol .* (not supported|disabled)"),
        Refused,
        "{address} redirects elsewhere, where neither token nor trust follow",
        "use the address it redirects to; often it only ends in .git",
    ),
    (
        _words(r"mismatched algorithms", r"object format"),
        Refused,
        "repository {address} uses SHA-256 object names, which are not supported",
        "convert it to SHA-1 object names",
    ),
]  # fmt: skip
