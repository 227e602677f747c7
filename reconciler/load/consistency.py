"""Do the parts of a project fit together: is everything referred to there, and nothing said in two ways?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.errors import Mark
from reconciler.load.needs import cycles
from reconciler.load.notes import Notes, Path
from reconciler.load.places import nearest, problem_at

_TESTS = ("CMD", "CMD-SHELL", "NONE")
_NEEDS_NO_TARGET = ("rebuild", "restart")


def check_consistency(
    document: Mapping[str, Any], disabled: Mapping[str, Any], marks: Mapping[Path, Mark], notes: Notes
) -> None:
    """Note what does not fit together. `document` holds the enabled services, `disabled` the others.

    What already has a problem is not missed again by those who refer to it.
    """
    check = _Check(document, disabled, marks, notes)
    for name, service in document.get("services", {}).items():
        check.service(name, service)
    for name, secret in document.get("secrets", {}).items():
        check.secret(name, secret)
    check.circles()
    check.container_names()


class _Check:
    def __init__(
        self, document: Mapping[str, Any], disabled: Mapping[str, Any], marks: Mapping[Path, Mark], notes: Notes
    ) -> None:
        self.document = document
        self.services: Mapping[str, Any] = document.get("services", {})
        self.disabled = disabled
        self.marks = marks
        self.notes = notes
        self.faulty = tuple(problem.at for problem in notes.problems)

    def service(self, name: str, service: Mapping[str, Any]) -> None:
        path: Path = ("services", name)
        self._image(service, path)
        self._build(service.get("build", {}), service, path)
        self._networks(service, path)
        self._dependencies(service, path)
        self._references(service, path)
        self._test(service, path)
        self._replicas(service, path)
        self._limits(service, path)
        self._watches(service, path)
        self._mounts(service, path)

    def secret(self, name: str, secret: Mapping[str, Any]) -> None:
        if not secret.get("external") and not secret.keys() & {"file", "environment"}:
            self._problem("R035", f"the secret {name} needs a file or an environment variable", ("secrets", name))

    def circles(self) -> None:
        """Note each circle of dependencies once, with the place of every service in it."""
        for circle in cycles({name: service.get("depends_on", {}) for name, service in self.services.items()}):
            named = " -> ".join(f"{one} ({self._mark(('services', one))})" for one in (*circle, circle[0]))
            path = ("services", circle[0], "depends_on", (*circle, circle[0])[1])
            self._problem("R046", f"services depend on one another in a circle: {named}", path)

    def container_names(self) -> None:
        owners: dict[str, str] = {}
        for name, service in self.services.items():
            wanted = service.get("container_name")
            if wanted in owners:
                message = f'container_name "{wanted}" is also the one of service {owners[wanted]}'
                self._problem("R061", message, ("services", name, "container_name"), "give each its own, or none")
            elif wanted:
                owners[wanted] = name

    def _image(self, service: Mapping[str, Any], path: Path) -> None:
        if not service.keys() & {"image", "build", "provider"} and not self._is_faulty(path):
            self._problem("R035", f"service {path[-1]} needs an image", path, "add image: name:tag")

    def _build(self, build: Mapping[str, Any], service: Mapping[str, Any], path: Path) -> None:
        at = (*path, "build")
        if {"dockerfile", "dockerfile_inline"} <= build.keys():
            self._problem("R063", "dockerfile and dockerfile_inline rule each other out", (*at, "dockerfile_inline"))
        for name, context in build.get("additional_contexts", {}).items():
            target = context.removeprefix("service:")
            if target != context and "build" not in self.services.get(target, {}):
                message = f'the build context "{name}" is no service that is built'
                self._problem("R044", message, (*at, "additional_contexts", name))
        platforms, platform = build.get("platforms", ()), service.get("platform")
        if platforms and platform and platform not in platforms:
            self._problem("R060", f"build.platforms lacks the platform {platform}", (*at, "platforms"))
        for index, secret in enumerate(build.get("secrets", ())):
            self._refer("secrets", secret.get("source", ""), (*at, "secrets", index))

    def _networks(self, service: Mapping[str, Any], path: Path) -> None:
        networks = service.get("networks") or {}
        if "network_mode" in service and networks:
            message = "network_mode and networks rule each other out"
            self._problem("R063", message, (*path, "network_mode"), "remove one of them")
        for name in networks:
            self._refer("networks", name, (*path, "networks", name))

    def _dependencies(self, service: Mapping[str, Any], path: Path) -> None:
        for name, dependency in service.get("depends_on", {}).items():
            if name in self.services or (name in self.disabled and not dependency.get("required")):
                continue
            at = (*path, "depends_on", name)
            if name in self.disabled:
                profiles = ", ".join(self.disabled[name].get("profiles", ()))
                hint = f"enable one of its profiles ({profiles}), or say required: false"
                self._problem("R044", f'service "{name}" is off in every active profile', at, hint)
            elif not self._is_faulty(("services", name)):
                self._problem("R044", f'service "{name}" is not defined', at, self._suggestion(name, self.services))

    def _references(self, service: Mapping[str, Any], path: Path) -> None:
        for index, volume in enumerate(service.get("volumes", ())):
            if volume.get("type") == "volume" and volume.get("source"):
                self._refer("volumes", volume["source"], (*path, "volumes", index))
        for kind in ("configs", "secrets"):
            for index, mounted in enumerate(service.get(kind, ())):
                self._refer(kind, mounted.get("source", ""), (*path, kind, index))
        for name in service.get("models", {}):
            self._refer("models", name, (*path, "models", name))

    def _refer(self, kind: str, name: str, path: Path) -> None:
        known = self.document.get(kind, {})
        if name in known or self._is_faulty((kind, name)):
            return
        code = {"networks": "R040", "volumes": "R041", "secrets": "R042", "configs": "R043", "models": "R045"}[kind]
        hint = self._suggestion(name, known) or f"declare it under {kind} at the top of the file"
        self._problem(code, f'{kind.removesuffix("s")} "{name}" is not defined', path, hint)

    def _test(self, service: Mapping[str, Any], path: Path) -> None:
        test = service.get("healthcheck", {}).get("test")
        if test and test[0] not in _TESTS:
            hint = f"start the list with {', '.join(_TESTS)}, or write one text"
            self._problem("R053", "a healthcheck.test must start with its kind", (*path, "healthcheck", "test"), hint)

    def _replicas(self, service: Mapping[str, Any], path: Path) -> None:
        scale, replicas = service.get("scale"), service.get("deploy", {}).get("replicas")
        for value, at in ((scale, (*path, "scale")), (replicas, (*path, "deploy", "replicas"))):
            if value is not None and value < 0:
                self._problem("R031", f"{at[-1]} must be 0 or more", at)
                break
        if None not in (scale, replicas) and scale != replicas:
            self._problem("R060", "scale and deploy.replicas differ", (*path, "scale"), "remove scale")
        count = scale if scale is not None else replicas
        if count is not None and count > 1 and "container_name" in service:
            message = f"a container_name is one container's, but {count} are wanted"
            self._problem("R061", message, (*path, "container_name"), "remove container_name")

    def _limits(self, service: Mapping[str, Any], path: Path) -> None:
        resources = service.get("deploy", {}).get("resources", {})
        for name, kind, inner in (
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("mem_reservation", "reservations", "memory"),
            ("pids_limit", "limits", "pids"),
        ):
            if name in service and kind in resources and resources[kind].get(inner) != service[name]:
                message = f"{name} and deploy.resources.{kind}.{inner} differ"
                self._problem("R060", message, (*path, name), f"remove {name}")

    def _watches(self, service: Mapping[str, Any], path: Path) -> None:
        for index, watch in enumerate((service.get("develop") or {}).get("watch", ())):
            if not watch.get("target") and watch.get("action") not in _NEEDS_NO_TARGET:
                at = (*path, "develop", "watch", index)
                self._problem("R035", f"a watch with the action {watch.get('action')} needs a target", at)

    def _mounts(self, service: Mapping[str, Any], path: Path) -> None:
        owners: dict[str, Path] = {}
        for target, at in _mount_targets(service, path):
            if target in owners:
                message = f"{target} is already the target of another mount ({self._mark(owners[target])})"
                self._problem("R062", message, at, "remove one of them")
            owners.setdefault(target, at)

    def _is_faulty(self, path: Path) -> bool:
        place = ".".join(map(str, path))
        return any(at == place or at.startswith(f"{place}.") or at == path[0] for at in self.faulty)

    def _suggestion(self, name: str, known: Iterable[str]) -> str:
        from reconciler.load.excerpt import suggest

        return suggest(name, list(known))

    def _problem(self, code: str, message: str, path: Path, hint: str = "") -> None:
        self.notes.problems.append(problem_at(code, message, self.marks, path, hint))

    def _mark(self, path: Path) -> Mark | None:
        return nearest(self.marks, path)


def _mount_targets(service: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Path]]:
    for index, tmpfs in enumerate(service.get("tmpfs", ())):
        yield tmpfs.partition(":")[0], (*path, "tmpfs", index)
    for index, volume in enumerate(service.get("volumes", ())):
        yield volume.get("target", ""), (*path, "volumes", index)
