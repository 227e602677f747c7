"""What runs in a container that answers each request with who it is?"""

from __future__ import annotations

HTTP, ECHO = 80, 81
"""Its ports: one says who it is, one repeats what it hears for as long as somebody speaks."""

SLOW = "/cgi-bin/slow"
"""The path of an answer that takes two seconds."""

# As an ordinary application does, it ends what it has before it follows TERM.
ANSWERS = f"""
mkdir -p /www/cgi-bin
me=$(echo $WHO $HOSTNAME)
echo "$me" >/www/index.html
printf '#!/bin/sh\\nsleep 2\\nprintf "Content-Type: text/plain\\\\r\\\\n\\\\r\\\\n%s"\\n' "$me" >/www{SLOW}
chmod +x /www{SLOW}
nc -ll -p {ECHO} -e cat &
httpd -f -p {HTTP} -h /www &
server=$!
trap 'kill $server; while pidof httpd >/dev/null; do sleep 0.1; done; exit' TERM
wait $server
"""
"""For a shell with busybox's programs: answers `$WHO`, where that is set, and its host name."""
