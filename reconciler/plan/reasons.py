"""Say why, without ever showing a secret.

An environment value is shown only when it stands literally in a Compose file and its key does not look secret; the old
one only when the container's own label says the same of the time it was made.
"""

from __future__ import annotations

import re
from typing import Any

from reconciler.model import labels
from reconciler.model.content import content_digest
from reconciler.model.desired import Service
from reconciler.model.observed import Instance
from reconciler.model.plan import Reason
from reconciler.plan.diff import Comparison, Difference, Reattach

CHANGED = "(changed)"
_SECRET_KEY = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|DSN", re.IGNORECASE)
_USER_INFO = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]*@", re.IGNORECASE)
# Attributes that never hold a secret: names, numbers and switches.
_ALWAYS_SHOWN = {"image", "restart", "network_mode", "ports", "expose", "user", "hostname", "stop_signal", "container_name"}


def because(comparison: Comparison, service: Service, instance: Instance) -> tuple[Reason, ...]:
    """Return one reason for each difference, image first, then in the order of their names."""
    fields = sorted((*comparison.recreate, *comparison.live), key=lambda one: (one.attribute != "image", one.attribute))
    differences = (difference_reason(difference, service, instance) for difference in fields)
    return (*differences, *(reattach_reason(one, service) for one in comparison.reattach))


def difference_reason(difference: Difference, service: Service, instance: Instance) -> Reason:
    """Return the reason for one difference."""
    attribute = difference.attribute
    text = attribute.replace(".", " ", 1) if attribute.startswith(("environment.", "labels.")) else attribute
    mark = service.mark(attribute, "volumes" if attribute.startswith("content of ") else attribute.split(".")[0])
    readable = _readable(difference)
    old, new = show(readable.old), show(readable.new)
    if not _may_show(difference, service, instance) or _USER_INFO.search(f"{old} {new}"):
        return Reason(text, CHANGED, CHANGED, mark)
    return Reason(text, old or "(none)", new or "(none)", mark)


def reattach_reason(one: Reattach, service: Service) -> Reason:
    """Return the reason for a change of a network attachment."""
    return Reason(f"network {one.network}: {one.why}", source=service.mark("networks"))


def shown_names(service: Service) -> tuple[str, ...]:
    """Return the names of the environment variables whose value a plan may show."""
    names = (entry.partition("=")[0] for entry in service.container.get("Env") or ())
    return tuple(sorted(name for name in names if not _is_hidden(f"environment.{name}", service)))


def shown_work(service: Service) -> dict[str, Any]:
    """Return what a service does, as far as a plan may show it: what it runs, with which variables and files."""
    container, names = service.container, shown_names(service)
    return {
        "image": service.image,
        "entrypoint": None if _is_hidden("entrypoint", service) else container.get("Entrypoint"),
        "command": None if _is_hidden("command", service) else container.get("Cmd"),
        "environment": sorted(entry for entry in container.get("Env") or () if entry.partition("=")[0] in names),
        "files": {
            one.target: content_digest(one.content, one.mode, one.uid, one.gid) for one in service.files if not one.secret
        },
        "content": sorted(one.name for one in service.content_volumes),
    }


def show(value: Any) -> str:
    """Return a value as a person would write it in a Compose file."""
    match value:
        case None | "":
            return ""
        case bool():
            return str(value).lower()
        case {"Name": name, "Soft": soft, "Hard": hard}:
            return f"{name}={soft}:{hard}"
        case {"Name": name, **rest}:
            count = rest.get("MaximumRetryCount")
            return f"{name}:{count}" if count else str(name)
        case dict():
            return ", ".join(f"{name}={show(child)}" for name, child in sorted(value.items()))
        case list() | tuple() | set() | frozenset():
            return " ".join(show(child) for child in value)
        case _:
            return str(value)


def _may_show(difference: Difference, service: Service, instance: Instance) -> bool:
    attribute = difference.attribute
    if _is_hidden(attribute, service):
        return False
    if attribute.startswith("environment."):
        name = attribute.removeprefix("environment.")
        was_shown = name in instance.labels.get(labels.SHOWN, "").split(",")
        return difference.old is None or was_shown
    root = attribute.split(".")[0]
    return root in _ALWAYS_SHOWN or root == "deploy" or isinstance(difference.new, int | float) or _is_open(attribute, service)


def _is_hidden(attribute: str, service: Service) -> bool:
    prefixes = (attribute, attribute.split(".")[0])
    name = attribute.partition(".")[2]
    return any(prefix in service.hidden for prefix in prefixes) or bool(_SECRET_KEY.search(name))


def _is_open(attribute: str, service: Service) -> bool:
    """Any other attribute is shown when Git sets it literally, and nothing below it is hidden."""
    mark = service.sources.get(attribute) or service.sources.get(attribute.split(".")[0])
    return mark is not None and mark.literal and not any(path.startswith(f"{attribute}.") for path in service.hidden)


def facts(*texts: str) -> tuple[Reason, ...]:
    """Return bare facts as reasons."""
    return tuple(Reason(text) for text in texts)


def _readable(difference: Difference) -> Difference:
    render = {"Memory": _bytes, "MemoryReservation": _bytes, "MemorySwap": _bytes, "ShmSize": _bytes, "NanoCpus": _cpus}
    convert = render.get(difference.engine)
    if convert is None:
        return difference
    return Difference(difference.attribute, difference.engine, convert(difference.old), convert(difference.new))


def _bytes(count: Any) -> str:
    """Bytes with the largest binary unit that divides them: 536870912 -> "512m"."""
    if not isinstance(count, int) or count <= 0:
        return str(count or "")
    for power, unit in ((30, "g"), (20, "m"), (10, "k")):
        if count % (1 << power) == 0:
            return f"{count >> power}{unit}"
    return f"{count}b"


def _cpus(nanos: Any) -> str:
    return f"{nanos / 1e9:g}" if isinstance(nanos, int) and nanos else ""
