"""How does a gateway's container start, and which files of its volume are whose?

A gateway that is replaced serves on beside its successor until its last connection ends, and both mount the same volume.
So each container has a directory of its own in there, named by the beginning of its id, and its sockets in it.
"""

from __future__ import annotations

from reconciler.model.traffic import ADMIN_SOCKET, CONFIG, DIRECTORY, MASTER_SOCKET

USER = "0"
"""The gateway itself gives up being root as soon as it holds its ports."""

CAPABILITIES = ("CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID")
"""What it keeps of a root's rights; all others are dropped.

Without CAP_KILL the master cannot tell its workers, who are no longer root, to take nothing new, at a reload or a stop.
"""

STOP_SIGNAL = "SIGUSR1"
"""Take nothing new, end what is in flight, then exit."""

ENTRYPOINT = ("/bin/sh", "-c")
"""In the place of the image's own, which differ."""

HOME = "GATEWAY_HOME"
"""The environment variable by which a config names the directory of whoever reads it."""

RUNNING = "running.cfg"
"""What a gateway was loaded with, in its directory. Nothing ever starts with it."""
NEXT = "next.cfg"
"""What the successor is to start with, in the directory of the one it takes over from."""
SERVERS = "servers.state"
"""How a gateway's servers did when it was loaded last: one that was down is down until a check passes."""
NEXT_SERVERS = "next.state"
PREDECESSORS = "predecessors"
"""The directories of the gateways that still had something in flight when this one started, one a line."""

IPV6 = "ipv6"
"""Stands in a gateway's directory where its host has IPv6."""

SOCKET_LINE = f'stats socket "${{{HOME}}}/{ADMIN_SOCKET}" mode 600 level admin expose-fd listeners'
"""The socket by which a gateway is commanded, and through which it hands its listeners over."""

_FIRST = f"global\\n    {SOCKET_LINE}\\n"


def home(container: str) -> str:
    """Return the name of a container's directory in the volume."""
    return container[:12]


def command() -> tuple[str, ...]:
    """Return the container's command: it starts with the config that stands there, or takes over from a living gateway.

    It takes over only where the one before has put a config there for it and still listens; the kernel's list of sockets
    says that, since both are in the host's network. After a start of the engine nobody does, whatever files are left.
    """
    return (_SCRIPT,)


# The id stands in the paths of the files that the engine mounts into every container. What a gateway that is gone left
# behind is removed; one that lets its last connections end has closed its admin socket, and still has the other.
_SCRIPT = f"""
set -eu
umask 077
cd {DIRECTORY}
me=$(sed -n 's|.*/containers/\\([0-9a-f]\\{{12\\}}\\)[0-9a-f]\\{{52\\}}/.*|\\1|p' /proc/self/mountinfo | head -n 1)
sockets=$(cat /proc/net/unix)
if ! test -s {CONFIG}; then
  printf '{_FIRST}' >first.cfg
  mv first.cfg {CONFIG}
fi
set -- {CONFIG} /dev/null
heir_of=
living=
for one in *; do
  test -d "$one" || continue
  case $sockets in
  *"{DIRECTORY}/$one/{ADMIN_SOCKET}"*)
    living="$living $one"
    if test -s "$one/{NEXT}"; then heir_of=$one; set -- "$one/{NEXT}" "$one/{NEXT_SERVERS}"; fi ;;
  *"{DIRECTORY}/$one/"*) living="$living $one" ;;
  *) rm -rf "$one" ;;
  esac
done
rm -rf "$me"
mkdir "$me"
printf '%s\\n' $living >"$me/{PREDECESSORS}"
test ! -e /proc/net/if_inet6 || : >"$me/{IPV6}"
cp "$1" "$me/{RUNNING}"
cat "$2" >"$me/{SERVERS}"
test -s "$me/{SERVERS}" || echo 1 >"$me/{SERVERS}"
export {HOME}={DIRECTORY}/$me
set -- -W -db -S "${HOME}/{MASTER_SOCKET},mode,600" -f "${HOME}/{RUNNING}"
test -z "$heir_of" || set -- "$@" -x "{DIRECTORY}/$heir_of/{ADMIN_SOCKET}"
exec haproxy "$@"
""".strip()
