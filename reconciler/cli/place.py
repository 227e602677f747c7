"""Where does a verb work: which options say it, and what is to be seen there?"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.wiring import Workplace, workplace

if TYPE_CHECKING:
    from reconciler.loop import Look

_STATE = "state directory (RECONCILER_STATE)"


def configure_place(parser: argparse.ArgumentParser, *, engine: bool = True, source: bool = True) -> None:
    """Add the options that a verb which reads desired state takes.

    `source` False leaves the word itself out, for verbs whose words mean something else: there it is an option.
    """
    what = "directory (default: .) or Git address (RECONCILER_SOURCE)"
    if source:
        parser.add_argument("source", nargs="?", metavar="SOURCE", help=what)
    else:
        parser.add_argument("--source", metavar="SOURCE", help=what)
    add = parser.add_argument_group("where").add_argument
    add("--branch", metavar="NAME", help="branch of a Git source (default: main)")
    add("--path", metavar="DIR", help="directory inside the source")
    add("--operator", metavar="FILE", help="the operator's file (RECONCILER_OPERATOR)")
    add("--gateway-image", metavar="IMAGE", help="image of the gateway (RECONCILER_GATEWAY_IMAGE)")
    add("--state", metavar="DIR", help=_STATE)
    if engine:
        add("--engine", metavar="HOST", help="Docker engine (default: as docker finds it)")
    _configure_git(parser)


def configure_state(parser: argparse.ArgumentParser) -> None:
    """Add the option of verbs that only read what earlier turns left behind."""
    parser.add_argument("--state", metavar="DIR", help=_STATE)


def place_of(args: argparse.Namespace) -> Workplace:
    """Return the workplace that the parsed options name."""
    return workplace(vars(args))


def look_at(place: Workplace) -> Look:
    """Compare the newest revision with what runs, as a turn would now, and change nothing. Raises what is wrong with either."""
    reconciler = place.reconciler()
    reconciler.refresh()
    if reconciler.trouble is not None:
        raise reconciler.trouble
    return reconciler.look()


def _configure_git(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("access to a Git remote").add_argument
    add("--git-token-file", metavar="FILE", help="file with an access token for https")
    add("--git-username", metavar="NAME", help="user name sent with the token (default: git)")
    add("--git-ssh-key", dest="ssh_key", metavar="FILE", help="private key for ssh")
    add("--git-known-hosts", dest="known_hosts", metavar="FILE", help="the hosts that ssh trusts")
    add("--git-ca-bundle", dest="ca_bundle", metavar="FILE", help="certificates to trust instead of the system's")
    add("--git-allow-file", dest="allow_file", action="store_const", const="yes", help="allow file:// addresses")
    add("--git-allow-http", dest="allow_http", action="store_const", const="yes", help="allow http:// addresses")
