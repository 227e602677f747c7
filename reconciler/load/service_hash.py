"""By which hash does docker compose tell whether a service changed?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from reconciler.load.compose import Project
from reconciler.load.printed import json_document

_NOT_COUNTED = ("build", "depends_on", "profiles", "pull_policy", "scale")


def service_hashes(project: Project) -> dict[str, str]:
    """Return the SHA-256 of every service that is on, as docker compose puts it into `com.docker.compose.config-hash`.

    It is taken of the service as JSON, its fields in the order of Compose's own structures, without what changes how many
    containers there are, or from what and when, but not what they are.
    """
    services = json_document(project)["services"]
    return {name: sha256(_go_json(_counted(services[name])).encode()).hexdigest() for name in sorted(services)}


def _counted(service: Mapping[str, Any]) -> dict[str, Any]:
    counted = {name: value for name, value in service.items() if name not in _NOT_COUNTED}
    if "deploy" in counted:
        counted["deploy"] = {name: value for name, value in counted["deploy"].items() if name != "replicas"}
    ordered: dict[str, Any] = _ordered(counted, "service")
    return ordered


def _ordered(value: Any, structure: str) -> Any:
    """Return the value with the fields of each structure in Compose's order; the keys of anything else are sorted."""
    match value:
        case dict():
            order = _ORDERS.get(structure, ())
            names = sorted(value, key=lambda name: (order.index(name) if name in order else len(order), name))
            return {name: _ordered(value[name], _below(structure, name)) for name in names}
        case list():
            return [_ordered(item, structure) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _below(structure: str, name: str) -> str:
    """Return the structure of a field, "" for one whose fields Compose sorts, too."""
    return _BY_NAME.get(structure) or (name if structure in _ORDERS else "")


def _go_json(value: Any) -> str:
    """Return JSON as Go's encoding/json writes it: no spaces, and escapes for what HTML and JavaScript would read."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


_SERVICE = """
profiles annotations attach build develop blkio_config cap_add cap_drop cgroup_parent cgroup cpu_count cpu_percent cpu_period
cpu_quota cpu_rt_period cpu_rt_runtime cpus cpuset cpu_shares command configs container_name credential_spec depends_on deploy
device_cgroup_rules devices dns dns_opt dns_search dockerfile domainname entrypoint provider environment env_file expose
extends external_links extra_hosts group_add gpus hostname healthcheck image init ipc isolation labels label_file links
logging log_driver log_opt mem_limit mem_reservation memswap_limit mem_swappiness mac_address models net network_mode networks
oom_kill_disable oom_score_adj pid pids_limit platform ports privileged pull_policy read_only restart runtime scale secrets
security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user
userns_mode uts volume_driver volumes volumes_from working_dir post_start pre_stop
"""

_BY_NAME = {"ulimits": "ulimit"}
"""Mappings from names that the user chose to structures whose fields are not sorted."""

_HOOK = "command user privileged working_dir environment"
_UPDATE = "parallelism delay failure_action monitor max_failure_ratio order"
_RESOURCE = "cpus memory pids devices generic_resources"
_FILE = "source target uid gid mode"
_DEVICE_REQUEST = "capabilities driver count device_ids options"

_FIELDS = {
    "service": _SERVICE,
    "bind": "selinux propagation create_host_path recursive",
    "blkio_config": "weight weight_device device_read_bps device_read_iops device_write_bps device_write_iops",
    "configs": _FILE,
    "deploy": "mode replicas labels update_config rollback_config resources restart_policy placement endpoint_mode",
    "develop": "watch",
    "devices": f"source target permissions {_DEVICE_REQUEST}",
    "exec": _HOOK,
    "gpus": _DEVICE_REQUEST,
    "healthcheck": "test timeout interval retries start_period start_interval disable",
    "limits": _RESOURCE,
    "placement": "constraints preferences max_replicas_per_node",
    "ports": "name mode host_ip target published protocol app_protocol",
    "post_start": _HOOK,
    "pre_stop": _HOOK,
    "provider": "type options",
    "reservations": _RESOURCE,
    "resources": "limits reservations",
    "rollback_config": _UPDATE,
    "secrets": _FILE,
    "tmpfs": "size mode",
    "ulimit": "soft hard",
    "update_config": _UPDATE,
    "volumes": "type source target read_only consistency bind volume tmpfs image",
    "watch": "path action target exec include ignore initial_sync",
}

_ORDERS: Mapping[str, tuple[str, ...]] = {structure: tuple(fields.split()) for structure, fields in _FIELDS.items()}
