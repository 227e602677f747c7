"""Which attributes does Compose know, and what does each accept, merge like and become on the engine?

One row per attribute. The schema check, the merge and uniqueness rules, the canonical form, the engine payload, the
policy and the reference documentation all read this table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache

from reconciler.load.forms import (
    BYTES,
    COMMAND,
    DISTINCT_NUMBERS,
    DISTINCT_TEXTS,
    DURATION,
    ENVIRONMENT,
    FLAG,
    FRACTION,
    HOSTS,
    NULL,
    NULLABLE_OPTIONS,
    NULLABLE_TEXT,
    NUMBER,
    OPTIONS,
    PAIRS,
    RESOURCE_NAME,
    STRICT_FLAG,
    TEXT,
    TEXT_BYTES,
    TEXT_OPTIONS,
    TEXT_OR_NUMBER,
    TEXT_OR_TEXTS,
    TEXTS,
    WHOLE,
    WHOLE_BYTES,
    Form,
    Kind,
    Reading,
    list_of,
    map_of,
    matching,
    one_of,
    record,
    scalar,
)


class Merge(StrEnum):
    """How a later file's value joins an earlier one's."""

    DEEP = "deep"  # mappings by key, lists appended, anything else replaced
    REPLACE = "replace"
    SEQUENCE = "sequence"  # mapping, string or list: made a list (`K=V`), then appended
    BUILD = "build"
    NETWORKS = "networks"  # a list is a mapping to null
    DEPENDENCIES = "dependencies"  # a list is a mapping to the default condition
    HOSTS = "hosts"  # appended, what is already there left out
    LOGGING = "logging"  # deep for one driver, else replaced
    POOLS = "pools"  # by subnet


class Unique(StrEnum):
    """What tells two entries of a list apart; the later of two equal ones takes the earlier one's place."""

    NONE = "none"
    KEY = "key"  # the part before `=`
    VALUE = "value"
    TARGET = "target"  # of a mount
    DEVICE = "device"
    PORT = "port"  # host address, published and target port, protocol
    CONFIG = "config"
    SECRET = "secret"
    FILE = "file"


class Policy(StrEnum):
    """What the `standard` policy makes of an attribute before looking at its value."""

    ALLOW = "allow"
    GATE = "gate"  # its value decides
    REFUSE = "refuse"  # needs the operator's word
    IGNORED = "ignored"  # means nothing on a single engine, said so
    UNSUPPORTED = "unsupported"  # Compose knows it, this program does not act on it


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row of the table.

    path        `*` stands for any name, `[]` for any item of a list
    keeps_zero  false, 0 or an empty value is said in the canonical form too, because absence means something else
    engine      the field of the engine's API it becomes; "" where it is not sent
    api         the oldest engine API that has the field; "" when every supported one has
    """

    path: tuple[str, ...]
    form: Form
    merge: Merge = Merge.DEEP
    unique: Unique = Unique.NONE
    keeps_zero: bool = False
    engine: str = ""
    api: str = ""
    policy: Policy = Policy.ALLOW
    doc: str = ""

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(slots=True)
class Rule:
    """A place in the tree of attributes: its row (None for a free extension) and what stands below it."""

    attribute: Attribute | None = None
    fields: dict[str, Rule] = field(default_factory=dict)
    each: Rule | None = None
    item: Rule | None = None

    def at(self, name: str) -> Rule | None:
        """Return the rule of a mapping's key, or None where the table says nothing about it."""
        return self.fields.get(name) or self.each


@cache
def rules() -> Rule:
    """Return the table as a tree, from the top of a Compose file."""
    top = Rule()
    for attribute in TABLE:
        place = top
        for part in attribute.path:
            place = _descend(place, part)
        place.attribute = attribute
    return top


def _descend(place: Rule, part: str) -> Rule:
    if part == "[]":
        place.item = place.item or Rule()
        return place.item
    if part == "*":
        place.each = place.each or Rule()
        return place.each
    return place.fields.setdefault(part, Rule())


def find(path: Iterable[str | int]) -> Attribute | None:
    """Return the row of a place in a canonical document, `("services", "web", "ports", 0, "target")`, or None."""
    place: Rule | None = rules()
    for part in path:
        if place is None:
            return None
        place = place.item if isinstance(part, int) else place.at(part)
    return place.attribute if place else None


def _row(
    path: str,
    form: Form,
    doc: str = "",
    *,
    merge: Merge = Merge.DEEP,
    unique: Unique = Unique.NONE,
    keeps_zero: bool = False,
    engine: str = "",
    api: str = "",
    policy: Policy = Policy.ALLOW,
) -> Attribute:
    parts = tuple(path.replace("[]", ".[]").strip(".").split("."))
    return Attribute(parts, form, merge, unique, keeps_zero, engine, api, policy, doc)


def _below(prefix: str, *rows: Attribute) -> tuple[Attribute, ...]:
    parts = tuple(prefix.replace("[]", ".[]").split("."))
    return tuple(replace(row, path=parts + row.path) for row in rows)


_NETWORK_OR_NULL = record() | NULL
_EXTERNAL = FLAG | record()
_COUNT = replace(WHOLE, at_least=0)
_WEIGHT = replace(scalar(Kind.INTEGER, reading=Reading.INTEGER), at_least=0, at_most=65535)

_TOP = (
    _row("version", TEXT.read(Reading.DROPPED), "Obsolete; read and dropped with a warning.", policy=Policy.IGNORED),
    _row("name", TEXT, "Project name, unless one is given from outside."),
    _row("include", list_of(reading=Reading.DROPPED), "Other Compose files whose resources are taken over."),
    _row("include[]", TEXT | record(extensible=False), "A path, or a path with its own directory and variables."),
    _row("include[].path", TEXT_OR_TEXTS, "The file; further ones override the first."),
    _row("include[].env_file", TEXT_OR_TEXTS, "Files with variables for the included file."),
    _row("include[].project_directory", TEXT, "Directory the included file's relative paths start from."),
    _row("services", map_of(names=RESOURCE_NAME, closed=True), "The containers to run, by service name."),
    _row("networks", map_of(names=RESOURCE_NAME), "Networks shared among services."),
    _row("volumes", map_of(names=RESOURCE_NAME, closed=True), "Named volumes shared among services."),
    _row("configs", map_of(names=RESOURCE_NAME, closed=True), "Files that services mount; no secrets."),
    _row("secrets", map_of(names=RESOURCE_NAME, closed=True), "Secret files that services mount."),
    _row("models", map_of(names=RESOURCE_NAME), "Language models.", policy=Policy.UNSUPPORTED),
)

_PROCESS = (
    _row("image", TEXT, "Image to run.", engine="Config.Image"),
    _row("platform", TEXT, "Operating system and architecture of the image, `os/arch`.", engine="?platform"),
    _row(
        "pull_policy",
        matching("always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+"),
        "When the image is pulled.",
    ),
    _row("pull_refresh_after", TEXT.read(Reading.DROPPED), "Read and dropped, as Compose does.", policy=Policy.IGNORED),
    _row("command", COMMAND, "Arguments of the process.", merge=Merge.REPLACE, engine="Config.Cmd"),
    _row("entrypoint", COMMAND, "Program that is started.", merge=Merge.REPLACE, engine="Config.Entrypoint"),
    _row("working_dir", TEXT, "Directory the process starts in.", engine="Config.WorkingDir"),
    _row("user", TEXT, "User and group of the process, `uid[:gid]` or names.", engine="Config.User"),
    _row(
        "group_add",
        DISTINCT_NUMBERS,
        "Further groups of the process.",
        engine="HostConfig.GroupAdd",
    ),
    _row("hostname", TEXT, "Host name inside the container.", engine="Config.Hostname"),
    _row("domainname", TEXT, "Domain name inside the container.", engine="Config.Domainname"),
    _row("tty", FLAG, "Give the process a terminal.", engine="Config.Tty"),
    _row("stdin_open", FLAG, "Keep the standard input open.", engine="Config.OpenStdin"),
    _row("init", FLAG, "Run a small init as process 1.", keeps_zero=True, engine="HostConfig.Init"),
    _row("stop_signal", TEXT, "Signal that asks the process to stop.", engine="Config.StopSignal"),
    _row(
        "stop_grace_period",
        DURATION,
        "Time to stop before the kill; whole seconds reach the engine.",
        keeps_zero=True,
        engine="Config.StopTimeout",
    ),
    _row(
        "environment",
        ENVIRONMENT,
        "Environment variables; a name without value is taken from outside.",
        merge=Merge.SEQUENCE,
        unique=Unique.KEY,
        engine="Config.Env",
    ),
    _row(
        "env_file",
        (TEXT | list_of()).read(Reading.DROPPED),
        "Files with environment variables.",
        merge=Merge.SEQUENCE,
        unique=Unique.FILE,
        engine="Config.Env",
    ),
    _row("env_file[]", TEXT | record("path", extensible=False), "A path, or a path with how to read it."),
    _row("env_file[].path", TEXT, "Path of the file."),
    _row("env_file[].required", FLAG, "Whether a missing file is an error.", keeps_zero=True),
    _row("env_file[].format", TEXT, "`raw` takes the lines as they are."),
    _row(
        "labels",
        PAIRS,
        "Labels of the container.",
        merge=Merge.SEQUENCE,
        unique=Unique.KEY,
        engine="Config.Labels",
    ),
    _row(
        "label_file", (TEXT | TEXTS).read(Reading.DROPPED), "Files with labels.", merge=Merge.SEQUENCE, engine="Config.Labels"
    ),
    _row(
        "annotations",
        PAIRS,
        "Annotations for the OCI runtime.",
        merge=Merge.SEQUENCE,
        unique=Unique.KEY,
        engine="HostConfig.Annotations",
        api="1.43",
    ),
    _row("healthcheck", record(), "How the engine tells that the service works.", engine="Config.Healthcheck"),
    _row(
        "healthcheck.test",
        (TEXT | TEXTS).read(Reading.TEST),
        "Command that succeeds while all is well.",
        merge=Merge.REPLACE,
        engine="Config.Healthcheck.Test",
    ),
    _row(
        "healthcheck.interval",
        DURATION,
        "Time between two checks.",
        keeps_zero=True,
        engine="Config.Healthcheck.Interval",
    ),
    _row(
        "healthcheck.timeout",
        DURATION,
        "Time after which a check failed.",
        keeps_zero=True,
        engine="Config.Healthcheck.Timeout",
    ),
    _row(
        "healthcheck.retries",
        replace(NUMBER, at_least=0),
        "Failures in a row before unhealthy.",
        keeps_zero=True,
        engine="Config.Healthcheck.Retries",
    ),
    _row(
        "healthcheck.start_period",
        DURATION,
        "Time in which failures do not count.",
        keeps_zero=True,
        engine="Config.Healthcheck.StartPeriod",
    ),
    _row(
        "healthcheck.start_interval",
        DURATION,
        "Time between checks in the start period.",
        keeps_zero=True,
        engine="Config.Healthcheck.StartInterval",
        api="1.44",
    ),
    _row("healthcheck.disable", FLAG, "Drop the image's own check.", engine="Config.Healthcheck.Test"),
    _row("restart", TEXT, "When the engine restarts the container.", engine="HostConfig.RestartPolicy"),
    _row(
        "logging",
        record(),
        "Where the output goes.",
        merge=Merge.LOGGING,
        engine="HostConfig.LogConfig",
    ),
    _row("logging.driver", TEXT, "Log driver of the engine.", engine="HostConfig.LogConfig.Type"),
    _row("logging.options", NULLABLE_OPTIONS, "Options of the driver.", engine="HostConfig.LogConfig.Config"),
    _row("attach", FLAG, "Whether `docker compose up` shows the output.", keeps_zero=True, policy=Policy.IGNORED),
    _row("runtime", TEXT, "OCI runtime.", engine="HostConfig.Runtime", policy=Policy.REFUSE),
    _row("isolation", TEXT, "Isolation of Windows containers.", policy=Policy.UNSUPPORTED),
)

_ORDER = (
    _row(
        "container_name",
        matching("[a-zA-Z0-9][a-zA-Z0-9_.-]+"),
        "Fixed container name; rules out replicas.",
        engine="?name",
    ),
    _row("scale", WHOLE, "Number of containers; prefer deploy.replicas.", keeps_zero=True),
    _row("profiles", DISTINCT_TEXTS, "Profiles that enable the service.", unique=Unique.KEY),
    _row("extends", (TEXT | record("service", extensible=False)).read(Reading.DROPPED), "Service that this one starts from."),
    _row("extends.service", TEXT, "Name of that service."),
    _row("extends.file", TEXT, "File it stands in; this one by default."),
    _row(
        "depends_on",
        DISTINCT_TEXTS | map_of(names=RESOURCE_NAME, closed=True),
        "Services that come first.",
        merge=Merge.DEPENDENCIES,
    ),
    _row("depends_on.*", record("condition"), "How far the other service must have come."),
    _row(
        "depends_on.*.condition",
        one_of("service_started", "service_healthy", "service_completed_successfully"),
        "State that is waited for.",
    ),
    _row("depends_on.*.restart", FLAG, "Restart together with the other service."),
    _row("depends_on.*.required", STRICT_FLAG, "Whether the other service must be there.", keeps_zero=True),
    _row("post_start", list_of(), "Commands run in the container after its start.", policy=Policy.GATE),
    _row("pre_stop", list_of(), "Commands run in the container before its stop.", policy=Policy.GATE),
    _row("provider", record("type"), "Resource provided by another program.", policy=Policy.UNSUPPORTED),
    _row("provider.type", TEXT, "Program that provides it."),
    _row(
        "provider.options",
        map_of(
            scalar(Kind.STRING, Kind.NUMBER, Kind.BOOLEAN) | list_of(scalar(Kind.STRING, Kind.NUMBER, Kind.BOOLEAN)),
            reading=Reading.MULTI_MAPPING,
        ),
        "Options of that program.",
    ),
    _row(
        "models",
        DISTINCT_TEXTS | map_of(names=RESOURCE_NAME),
        "Language models the service uses.",
        merge=Merge.NETWORKS,
        policy=Policy.UNSUPPORTED,
    ),
    _row("models.*", record() | NULL, "How the service learns of the model."),
    _row("models.*.endpoint_var", TEXT, "Variable that holds the model's address."),
    _row("models.*.model_var", TEXT, "Variable that holds the model's name."),
    _row("develop", record() | NULL, "What `docker compose watch` does.", policy=Policy.IGNORED),
    _row("develop.watch", list_of(), "Paths to watch."),
    _row("develop.watch[]", record("path", "action"), "One path."),
    _row("develop.watch[].path", TEXT, "The path.", keeps_zero=True),
    _row(
        "develop.watch[].action",
        one_of("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
        "What follows a change.",
        keeps_zero=True,
    ),
    _row("develop.watch[].target", TEXT, "Path inside the container."),
    _row("develop.watch[].ignore", TEXT_OR_TEXTS, "Patterns left out."),
    _row("develop.watch[].include", TEXT_OR_TEXTS, "Patterns taken in."),
    _row("develop.watch[].initial_sync", STRICT_FLAG, "Sync at the start too."),
)

_HOOK = (
    _row("command", COMMAND, "The command."),
    _row("user", TEXT, "User that runs it."),
    _row("privileged", FLAG, "With all capabilities.", policy=Policy.REFUSE),
    _row("working_dir", TEXT, "Directory it starts in."),
    _row("environment", ENVIRONMENT, "Further variables."),
)

_NETWORKING = (
    _row(
        "ports",
        list_of(distinct=True),
        "Ports opened on the host.",
        unique=Unique.PORT,
        engine="HostConfig.PortBindings",
        policy=Policy.GATE,
    ),
    _row("ports[]", TEXT | scalar(Kind.NUMBER) | record(), "`[address:][host:]container[/protocol]`, or its parts."),
    _row("ports[].name", TEXT, "A name to read."),
    _row("ports[].mode", TEXT, "`ingress` or `host`; both are the host's own port here."),
    _row("ports[].host_ip", TEXT, "Address of the host.", engine="HostConfig.PortBindings.HostIp"),
    _row("ports[].target", _COUNT, "Port of the container."),
    _row(
        "ports[].published",
        scalar(Kind.STRING, Kind.INTEGER, reading=Reading.TEXT),
        "Port or range of the host; any free one when missing.",
        engine="HostConfig.PortBindings.HostPort",
    ),
    _row("ports[].protocol", TEXT, "`tcp`, `udp` or `sctp`."),
    _row("ports[].app_protocol", TEXT, "Protocol spoken on it, to read."),
    _row(
        "expose",
        DISTINCT_NUMBERS,
        "Ports open to other containers, to read.",
        unique=Unique.VALUE,
        engine="Config.ExposedPorts",
    ),
    _row(
        "networks",
        DISTINCT_TEXTS | map_of(names=RESOURCE_NAME, closed=True),
        "Networks the container joins.",
        merge=Merge.NETWORKS,
        engine="NetworkingConfig.EndpointsConfig",
    ),
    _row("networks.*", _NETWORK_OR_NULL, "How it joins one of them."),
    _row(
        "networks.*.aliases",
        DISTINCT_TEXTS,
        "Further names there.",
        unique=Unique.KEY,
        engine="EndpointSettings.Aliases",
    ),
    _row("networks.*.ipv4_address", TEXT, "Fixed IPv4 address.", engine="EndpointSettings.IPAMConfig.IPv4Address"),
    _row("networks.*.ipv6_address", TEXT, "Fixed IPv6 address.", engine="EndpointSettings.IPAMConfig.IPv6Address"),
    _row(
        "networks.*.link_local_ips",
        DISTINCT_TEXTS,
        "Link-local addresses.",
        unique=Unique.KEY,
        engine="EndpointSettings.IPAMConfig.LinkLocalIPs",
    ),
    _row("networks.*.mac_address", TEXT, "Fixed MAC address.", engine="EndpointSettings.MacAddress", api="1.44"),
    _row("networks.*.driver_opts", OPTIONS, "Options of the driver.", engine="EndpointSettings.DriverOpts"),
    _row("networks.*.interface_name", TEXT, "Name of the interface.", engine="EndpointSettings.DriverOpts", api="1.49"),
    _row("networks.*.priority", scalar(Kind.NUMBER, reading=Reading.INTEGER), "The highest is joined first."),
    _row(
        "networks.*.gw_priority",
        scalar(Kind.NUMBER, reading=Reading.INTEGER),
        "The highest gives the default route.",
        engine="EndpointSettings.GwPriority",
        api="1.48",
    ),
    _row("network_mode", TEXT, "`host`, `none`, `service:…` …", engine="HostConfig.NetworkMode", policy=Policy.GATE),
    _row("mac_address", TEXT, "MAC address in the first network.", engine="EndpointSettings.MacAddress", api="1.44"),
    _row(
        "links",
        list_of(TEXT, distinct=True, reading=Reading.TEXTS),
        "Other services, by another name.",
        unique=Unique.KEY,
        engine="HostConfig.Links",
    ),
    _row("external_links", DISTINCT_TEXTS, "Containers of other projects.", engine="HostConfig.Links"),
    _row("extra_hosts", HOSTS, "Further lines of /etc/hosts.", merge=Merge.HOSTS, engine="HostConfig.ExtraHosts"),
    _row("dns", TEXT_OR_TEXTS, "Name servers.", merge=Merge.SEQUENCE, unique=Unique.KEY, engine="HostConfig.Dns"),
    _row(
        "dns_opt", DISTINCT_TEXTS, "Resolver options.", merge=Merge.SEQUENCE, unique=Unique.KEY, engine="HostConfig.DnsOptions"
    ),
    _row(
        "dns_search", TEXT_OR_TEXTS, "Search domains.", merge=Merge.SEQUENCE, unique=Unique.KEY, engine="HostConfig.DnsSearch"
    ),
)

_STORAGE = (
    _row(
        "volumes",
        list_of(distinct=True),
        "What is mounted where.",
        unique=Unique.TARGET,
        engine="HostConfig.Mounts",
        policy=Policy.GATE,
    ),
    _row("volumes[]", TEXT | record("type"), "`[source:]target[:options]`, or its parts."),
    _row(
        "volumes[].type", one_of("bind", "volume", "tmpfs", "cluster", "npipe", "image"), "Kind of mount.", engine="Mount.Type"
    ),
    _row("volumes[].source", TEXT, "Path of the host, volume or image.", engine="Mount.Source", policy=Policy.GATE),
    _row("volumes[].target", TEXT, "Path in the container.", engine="Mount.Target"),
    _row("volumes[].read_only", FLAG, "No writing.", engine="Mount.ReadOnly"),
    _row("volumes[].consistency", TEXT, "For other platforms.", engine="Mount.Consistency", policy=Policy.IGNORED),
    _row("volumes[].bind", record(), "Options of a bind.", engine="Mount.BindOptions"),
    _row("volumes[].bind.propagation", TEXT, "Mount propagation.", engine="Mount.BindOptions.Propagation", policy=Policy.GATE),
    _row(
        "volumes[].bind.create_host_path",
        FLAG,
        "Make a missing directory on the host.",
        engine="Mount.BindOptions.CreateMountpoint",
        api="1.42",
    ),
    _row(
        "volumes[].bind.recursive",
        one_of("enabled", "disabled", "writable", "readonly"),
        "Whether mounts below come along.",
        engine="Mount.BindOptions.NonRecursive",
        api="1.44",
    ),
    _row("volumes[].bind.selinux", one_of("z", "Z"), "SELinux relabelling: shared or private.", engine="HostConfig.Binds"),
    _row("volumes[].volume", record(), "Options of a named volume.", engine="Mount.VolumeOptions"),
    _row("volumes[].volume.labels", PAIRS, "Labels of the volume.", merge=Merge.SEQUENCE, engine="Mount.VolumeOptions.Labels"),
    _row("volumes[].volume.nocopy", FLAG, "Do not copy the image's files in.", engine="Mount.VolumeOptions.NoCopy"),
    _row("volumes[].volume.subpath", TEXT, "Directory inside the volume.", engine="Mount.VolumeOptions.Subpath", api="1.45"),
    _row("volumes[].tmpfs", record(), "Options of a tmpfs.", engine="Mount.TmpfsOptions"),
    _row("volumes[].tmpfs.size", replace(WHOLE_BYTES, at_least=0), "Size in bytes.", engine="Mount.TmpfsOptions.SizeBytes"),
    _row(
        "volumes[].tmpfs.mode",
        replace(scalar(Kind.NUMBER, reading=Reading.INTEGER), at_least=0),
        "Permissions.",
        engine="Mount.TmpfsOptions.Mode",
    ),
    _row("volumes[].image", record(), "Options of an image mount.", engine="Mount.ImageOptions", api="1.48"),
    _row("volumes[].image.subpath", TEXT, "Directory inside the image.", engine="Mount.ImageOptions.Subpath", api="1.48"),
    _row(
        "volumes_from",
        DISTINCT_TEXTS,
        "Mounts of another service or container.",
        engine="HostConfig.VolumesFrom",
        policy=Policy.GATE,
    ),
    _row(
        "tmpfs",
        TEXT_OR_TEXTS,
        "Memory file systems, `path[:options]`.",
        merge=Merge.SEQUENCE,
        unique=Unique.KEY,
        engine="HostConfig.Tmpfs",
    ),
    _row("configs", list_of(), "Configs that are mounted.", unique=Unique.CONFIG),
    _row("secrets", list_of(), "Secrets that are mounted.", unique=Unique.SECRET),
    _row(
        "storage_opt",
        map_of(scalar(Kind.STRING, Kind.INTEGER, Kind.NULL), reading=Reading.MAPPING),
        "Options of the storage driver.",
        engine="HostConfig.StorageOpt",
    ),
    _row("read_only", FLAG, "The image's file system cannot be written.", engine="HostConfig.ReadonlyRootfs"),
    _row("shm_size", BYTES, "Size of /dev/shm.", engine="HostConfig.ShmSize"),
    _row("use_api_socket", STRICT_FLAG, "Give the container the engine's socket.", policy=Policy.REFUSE),
)

_MOUNTED_FILE = (
    _row("source", TEXT, "Name of the config or secret."),
    _row("target", TEXT, "Path in the container."),
    _row("uid", TEXT, "Owner."),
    _row("gid", TEXT, "Group."),
    _row("mode", TEXT_OR_NUMBER.read(Reading.MODE), "Permissions, octal.", keeps_zero=True),
)

_LIMITS = (
    _row("cpus", FRACTION, "Processors at most.", engine="HostConfig.NanoCpus"),
    _row("cpu_shares", NUMBER, "Weight among containers.", engine="HostConfig.CpuShares"),
    _row("cpu_quota", NUMBER, "Microseconds in each period.", engine="HostConfig.CpuQuota"),
    _row("cpu_period", NUMBER, "Length of the period in microseconds.", engine="HostConfig.CpuPeriod"),
    _row("cpu_rt_period", NUMBER, "Real-time period in microseconds.", engine="HostConfig.CpuRealtimePeriod"),
    _row("cpu_rt_runtime", NUMBER, "Real-time share in microseconds.", engine="HostConfig.CpuRealtimeRuntime"),
    _row("cpuset", TEXT, "Processors it may run on.", engine="HostConfig.CpusetCpus"),
    _row("cpu_count", replace(WHOLE, at_least=0), "Processors of a Windows container.", policy=Policy.UNSUPPORTED),
    _row(
        "cpu_percent",
        replace(WHOLE.read(Reading.FLOAT), at_least=0, at_most=100),
        "Share of a Windows host.",
        policy=Policy.UNSUPPORTED,
    ),
    _row("mem_limit", BYTES, "Memory at most.", engine="HostConfig.Memory"),
    _row("mem_reservation", WHOLE_BYTES, "Memory kept free for it.", engine="HostConfig.MemoryReservation"),
    _row("memswap_limit", BYTES, "Memory and swap together at most.", engine="HostConfig.MemorySwap"),
    _row("mem_swappiness", WHOLE_BYTES, "0 to 100: how readily it swaps.", engine="HostConfig.MemorySwappiness"),
    _row("oom_kill_disable", FLAG, "Never killed for lack of memory.", engine="HostConfig.OomKillDisable"),
    _row(
        "oom_score_adj",
        replace(WHOLE, at_least=-1000, at_most=1000),
        "How likely it is killed for memory.",
        engine="HostConfig.OomScoreAdj",
    ),
    _row("pids_limit", NUMBER, "Processes at most; -1 for no limit.", engine="HostConfig.PidsLimit"),
    _row("ulimits", map_of(names=r"^[a-z]+$"), "Limits of the process.", engine="HostConfig.Ulimits"),
    _row("ulimits.*", WHOLE | record("soft", "hard"), "One limit.", keeps_zero=True, merge=Merge.REPLACE),
    _row("ulimits.*.soft", WHOLE, "Soft limit.", engine="Ulimit.Soft"),
    _row("ulimits.*.hard", WHOLE, "Hard limit.", engine="Ulimit.Hard"),
    _row(
        "sysctls",
        PAIRS,
        "Kernel parameters.",
        merge=Merge.SEQUENCE,
        unique=Unique.KEY,
        engine="HostConfig.Sysctls",
    ),
    _row("blkio_config", record(extensible=False), "Limits of block devices.", engine="HostConfig.BlkioWeight"),
    _row("blkio_config.weight", _WEIGHT, "Weight among containers.", engine="HostConfig.BlkioWeight"),
    _row("blkio_config.weight_device", list_of(), "Weight by device.", engine="HostConfig.BlkioWeightDevice"),
    _row("blkio_config.weight_device[]", record(extensible=False), "One device."),
    _row("blkio_config.weight_device[].path", TEXT, "The device.", keeps_zero=True),
    _row("blkio_config.weight_device[].weight", _WEIGHT, "Its weight.", keeps_zero=True),
    *(
        row
        for name, engine in (
            ("device_read_bps", "BlkioDeviceReadBps"),
            ("device_read_iops", "BlkioDeviceReadIOps"),
            ("device_write_bps", "BlkioDeviceWriteBps"),
            ("device_write_iops", "BlkioDeviceWriteIOps"),
        )
        for row in (
            _row(f"blkio_config.{name}", list_of(), "Rate by device.", engine=f"HostConfig.{engine}"),
            _row(f"blkio_config.{name}[]", record(extensible=False), "One device."),
            _row(f"blkio_config.{name}[].path", TEXT, "The device.", keeps_zero=True),
            _row(f"blkio_config.{name}[].rate", WHOLE_BYTES, "Units per second at most.", keeps_zero=True),
        )
    ),
)

_RIGHTS = (
    _row("privileged", FLAG, "All rights of the host.", engine="HostConfig.Privileged", policy=Policy.REFUSE),
    _row("cap_add", DISTINCT_TEXTS, "Capabilities added.", unique=Unique.KEY, engine="HostConfig.CapAdd", policy=Policy.GATE),
    _row("cap_drop", DISTINCT_TEXTS, "Capabilities dropped.", unique=Unique.KEY, engine="HostConfig.CapDrop"),
    _row("security_opt", DISTINCT_TEXTS, "Labels and profiles.", engine="HostConfig.SecurityOpt", policy=Policy.GATE),
    _row("pid", NULLABLE_TEXT, "Process namespace.", engine="HostConfig.PidMode", policy=Policy.GATE),
    _row("ipc", TEXT, "Shared memory namespace.", engine="HostConfig.IpcMode", policy=Policy.GATE),
    _row("uts", TEXT, "Host name namespace.", engine="HostConfig.UTSMode", policy=Policy.GATE),
    _row("userns_mode", TEXT, "User namespace.", engine="HostConfig.UsernsMode", policy=Policy.GATE),
    _row("cgroup", one_of("host", "private"), "Control group namespace.", engine="HostConfig.CgroupnsMode", policy=Policy.GATE),
    _row("cgroup_parent", TEXT, "Parent of the control group.", engine="HostConfig.CgroupParent", policy=Policy.GATE),
    _row("devices", list_of(), "Devices of the host.", unique=Unique.DEVICE, engine="HostConfig.Devices", policy=Policy.GATE),
    _row("devices[]", TEXT | record("source"), "`source[:target[:permissions]]`, or its parts."),
    _row("devices[].source", TEXT, "Device of the host, or its CDI name.", engine="DeviceMapping.PathOnHost"),
    _row("devices[].target", TEXT, "Path in the container.", engine="DeviceMapping.PathInContainer"),
    _row("devices[].permissions", TEXT, "`r`, `w` and `m`.", engine="DeviceMapping.CgroupPermissions"),
    _row(
        "device_cgroup_rules",
        DISTINCT_TEXTS,
        "Rules of the device control group.",
        engine="HostConfig.DeviceCgroupRules",
        policy=Policy.GATE,
    ),
    _row("gpus", one_of("all") | list_of(), "Graphics processors.", engine="HostConfig.DeviceRequests", policy=Policy.GATE),
    _row("gpus[]", record(opened=True), "One request."),
    _row("credential_spec", record(), "Account of a Windows container.", policy=Policy.UNSUPPORTED),
    _row("credential_spec.config", TEXT, "Config that holds it."),
    _row("credential_spec.file", TEXT, "File that holds it."),
    _row("credential_spec.registry", TEXT, "Registry value that holds it."),
)

_DEVICE_REQUEST = (
    _row("capabilities", DISTINCT_TEXTS, "What the device can do.", engine="DeviceRequest.Capabilities"),
    _row("driver", TEXT, "Driver.", engine="DeviceRequest.Driver"),
    _row(
        "count", scalar(Kind.STRING, Kind.INTEGER, reading=Reading.COUNT), "How many, or `all`.", engine="DeviceRequest.Count"
    ),
    _row("device_ids", DISTINCT_TEXTS, "Which ones.", engine="DeviceRequest.DeviceIDs"),
    _row("options", PAIRS, "Options of the driver.", engine="DeviceRequest.Options"),
)

_BUILD = (
    _row(
        "build",
        TEXT | record(),
        "How the image is built; build in CI and name the image here.",
        merge=Merge.BUILD,
        policy=Policy.UNSUPPORTED,
    ),
    _row("build.context", TEXT, "Directory or URL of the sources."),
    _row("build.dockerfile", TEXT, "Name of the Dockerfile."),
    _row("build.dockerfile_inline", TEXT, "The Dockerfile itself."),
    _row("build.entitlements", TEXTS, "Rights of the build."),
    _row("build.args", ENVIRONMENT, "Build arguments.", merge=Merge.SEQUENCE, unique=Unique.KEY),
    _row("build.ssh", PAIRS.read(Reading.AS_IS), "SSH agents or keys."),
    _row("build.labels", PAIRS, "Labels of the image.", merge=Merge.SEQUENCE, unique=Unique.KEY),
    _row("build.cache_from", TEXTS, "Caches to read."),
    _row("build.cache_to", TEXTS, "Caches to write."),
    _row("build.no_cache", FLAG, "No cache at all."),
    _row("build.additional_contexts", PAIRS, "Further contexts by name.", merge=Merge.SEQUENCE, unique=Unique.KEY),
    _row("build.network", TEXT, "Network of the build."),
    _row("build.provenance", scalar(Kind.STRING, Kind.BOOLEAN, reading=Reading.TEXT), "Provenance attestation."),
    _row("build.sbom", scalar(Kind.STRING, Kind.BOOLEAN, reading=Reading.TEXT), "Bill of materials."),
    _row("build.pull", FLAG, "Pull the base images anew."),
    _row("build.target", TEXT, "Stage to build."),
    _row("build.shm_size", WHOLE_BYTES, "Size of /dev/shm in the build."),
    _row("build.extra_hosts", HOSTS, "Further lines of /etc/hosts.", merge=Merge.HOSTS),
    _row("build.isolation", TEXT, "Isolation on Windows."),
    _row("build.privileged", FLAG, "Build with all rights."),
    _row("build.secrets", list_of(), "Secrets of the build."),
    _row("build.tags", TEXTS, "Further names of the image.", unique=Unique.KEY),
    _row("build.ulimits", map_of(names=r"^[a-z]+$"), "Limits in the build."),
    _row("build.ulimits.*", WHOLE | record("soft", "hard"), "One limit.", keeps_zero=True),
    _row("build.ulimits.*.soft", WHOLE, "Soft limit."),
    _row("build.ulimits.*.hard", WHOLE, "Hard limit."),
    _row("build.platforms", TEXTS, "Platforms to build for."),
)

_ROLLOUT = (
    _row("parallelism", _COUNT, "Containers replaced at a time; 0 for all.", keeps_zero=True),
    _row("delay", DURATION, "Time between two groups."),
    _row("failure_action", TEXT, "`pause`, `continue` or `rollback`."),
    _row("monitor", DURATION, "Time a new container is watched."),
    _row("max_failure_ratio", FRACTION, "Failures that are borne."),
    _row("order", one_of("start-first", "stop-first"), "Which comes first."),
)

_DEPLOY = (
    _row("deploy", record() | NULL, "How the service is run."),
    _row("deploy.mode", TEXT, "`replicated` or `global`."),
    _row("deploy.endpoint_mode", TEXT, "For Swarm.", policy=Policy.IGNORED),
    _row("deploy.replicas", WHOLE, "Number of containers.", keeps_zero=True),
    _row(
        "deploy.labels", PAIRS, "Labels of the Swarm service.", merge=Merge.SEQUENCE, unique=Unique.KEY, policy=Policy.IGNORED
    ),
    _row("deploy.update_config", record(), "How an update is rolled out."),
    _row("deploy.rollback_config", record(), "How a rollback is rolled out."),
    _row("deploy.resources", record(), "Limits and reservations."),
    _row("deploy.resources.limits", record(), "At most."),
    _row("deploy.resources.limits.cpus", FRACTION, "Processors.", engine="HostConfig.NanoCpus"),
    _row("deploy.resources.limits.memory", TEXT_BYTES, "Memory.", engine="HostConfig.Memory"),
    _row("deploy.resources.limits.pids", WHOLE, "Processes.", engine="HostConfig.PidsLimit"),
    _row("deploy.resources.reservations", record(), "At least."),
    _row("deploy.resources.reservations.cpus", FRACTION, "Processors, for Swarm.", policy=Policy.IGNORED),
    _row("deploy.resources.reservations.memory", TEXT_BYTES, "Memory.", engine="HostConfig.MemoryReservation"),
    _row("deploy.resources.reservations.generic_resources", list_of(), "For Swarm.", policy=Policy.IGNORED),
    _row("deploy.resources.reservations.generic_resources[]", record(), "One kind."),
    _row("deploy.resources.reservations.generic_resources[].discrete_resource_spec", record(), "How many of it."),
    _row("deploy.resources.reservations.generic_resources[].discrete_resource_spec.kind", TEXT, "The kind.", keeps_zero=True),
    _row(
        "deploy.resources.reservations.generic_resources[].discrete_resource_spec.value", NUMBER, "The number.", keeps_zero=True
    ),
    _row(
        "deploy.resources.reservations.devices",
        list_of(),
        "Devices such as GPUs.",
        engine="HostConfig.DeviceRequests",
        policy=Policy.GATE,
    ),
    _row("deploy.resources.reservations.devices[]", record("capabilities"), "One request."),
    _row("deploy.restart_policy", record(), "When the engine restarts the container.", engine="HostConfig.RestartPolicy"),
    _row("deploy.restart_policy.condition", TEXT, "`none`, `on-failure` or `any`."),
    _row("deploy.restart_policy.delay", DURATION, "Time before a restart, for Swarm.", keeps_zero=True, policy=Policy.IGNORED),
    _row("deploy.restart_policy.max_attempts", _COUNT, "Restarts at most.", keeps_zero=True),
    _row(
        "deploy.restart_policy.window",
        DURATION,
        "Time after which it counts as started, for Swarm.",
        keeps_zero=True,
        policy=Policy.IGNORED,
    ),
    _row("deploy.placement", record(), "Nodes it may run on, for Swarm.", policy=Policy.IGNORED),
    _row("deploy.placement.constraints", TEXTS, "What a node must be."),
    _row("deploy.placement.preferences", list_of(), "What is spread."),
    _row("deploy.placement.preferences[]", record(), "One preference."),
    _row("deploy.placement.preferences[].spread", TEXT, "Label to spread over."),
    _row("deploy.placement.max_replicas_per_node", _COUNT, "Replicas on one node."),
)

_NETWORK = (
    _row("name", TEXT, "Name on the engine; `<project>_<key>` by default.", engine="NetworkCreate.Name"),
    _row("driver", TEXT, "Network driver.", engine="NetworkCreate.Driver", policy=Policy.GATE),
    _row("driver_opts", OPTIONS, "Options of the driver.", engine="NetworkCreate.Options", policy=Policy.GATE),
    _row("ipam", record(), "Addresses.", engine="NetworkCreate.IPAM"),
    _row("ipam.driver", TEXT, "Address driver.", engine="NetworkCreate.IPAM.Driver"),
    _row("ipam.config", list_of(), "Address pools.", merge=Merge.POOLS, engine="NetworkCreate.IPAM.Config"),
    _row("ipam.config[]", record(), "One pool."),
    _row("ipam.config[].subnet", TEXT, "Its subnet.", engine="IPAMConfig.Subnet"),
    _row("ipam.config[].ip_range", TEXT, "Range addresses are taken from.", engine="IPAMConfig.IPRange"),
    _row("ipam.config[].gateway", TEXT, "Its gateway.", engine="IPAMConfig.Gateway"),
    _row("ipam.config[].aux_addresses", TEXT_OPTIONS, "Addresses kept free.", engine="IPAMConfig.AuxAddress"),
    _row(
        "ipam.options",
        TEXT_OPTIONS.read(Reading.DROPPED),
        "Read and dropped, as Compose does.",
        unique=Unique.KEY,
        policy=Policy.IGNORED,
    ),
    _row("external", _EXTERNAL, "It exists already; the object form is deprecated."),
    _row("external.name", TEXT, "Deprecated: use name."),
    _row("internal", FLAG, "No way out.", engine="NetworkCreate.Internal"),
    _row("attachable", FLAG, "Other containers may join.", engine="NetworkCreate.Attachable"),
    _row("enable_ipv4", FLAG, "With IPv4.", keeps_zero=True, engine="NetworkCreate.EnableIPv4", api="1.48"),
    _row("enable_ipv6", FLAG, "With IPv6.", keeps_zero=True, engine="NetworkCreate.EnableIPv6"),
    _row("labels", PAIRS, "Labels.", merge=Merge.SEQUENCE, unique=Unique.KEY, engine="NetworkCreate.Labels"),
)

_VOLUME = (
    _row("name", TEXT, "Name on the engine; `<project>_<key>` by default.", engine="VolumeCreate.Name"),
    _row("driver", TEXT, "Volume driver.", engine="VolumeCreate.Driver"),
    _row("driver_opts", OPTIONS, "Options of the driver.", engine="VolumeCreate.DriverOpts", policy=Policy.GATE),
    _row("external", _EXTERNAL, "It exists already; the object form is deprecated."),
    _row("external.name", TEXT, "Deprecated: use name."),
    _row("labels", PAIRS, "Labels.", merge=Merge.SEQUENCE, engine="VolumeCreate.Labels"),
)

_FILE_OBJECT = (
    _row("name", TEXT, "Name of the object."),
    _row("file", TEXT, "File with the content."),
    _row("environment", TEXT, "Variable with the content."),
    _row("external", FLAG | record(opened=True), "It exists already."),
    _row("external.name", TEXT, "Deprecated: use name."),
    _row("labels", PAIRS, "Labels.", policy=Policy.IGNORED),
    _row("template_driver", TEXT, "Swarm's templating.", policy=Policy.UNSUPPORTED),
)

_CONFIG = (_row("content", TEXT, "The content itself."),)

_SECRET = (
    _row("driver", TEXT, "Swarm's secret driver.", policy=Policy.UNSUPPORTED),
    _row("driver_opts", OPTIONS, "Options of that driver.", policy=Policy.UNSUPPORTED),
)

_MODEL = (
    _row("name", TEXT, "Its name."),
    _row("model", TEXT, "The model."),
    _row("context_size", scalar(Kind.INTEGER, reading=Reading.INTEGER), "Tokens of context."),
    _row("runtime_flags", TEXTS, "Flags of the runner."),
)

_HOOK_COMMAND = record("command")
_MOUNT = TEXT | record()

TABLE: tuple[Attribute, ...] = (
    *_TOP,
    _row("services.*", record(), "One service."),
    *_below("services.*", *_PROCESS, *_ORDER, *_NETWORKING, *_STORAGE, *_LIMITS, *_RIGHTS, *_BUILD, *_DEPLOY),
    _row("services.*.post_start[]", _HOOK_COMMAND, "One command."),
    *_below("services.*.post_start[]", *_HOOK),
    _row("services.*.pre_stop[]", _HOOK_COMMAND, "One command."),
    *_below("services.*.pre_stop[]", *_HOOK),
    _row("services.*.develop.watch[].exec", _HOOK_COMMAND, "Command after a sync."),
    *_below("services.*.develop.watch[].exec", *_HOOK),
    _row("services.*.configs[]", _MOUNT, "A name, or a name with where and how."),
    *_below("services.*.configs[]", *_MOUNTED_FILE),
    _row("services.*.secrets[]", _MOUNT, "A name, or a name with where and how."),
    *_below("services.*.secrets[]", *_MOUNTED_FILE),
    _row("services.*.build.secrets[]", _MOUNT, "A name, or a name with where and how."),
    *_below("services.*.build.secrets[]", *_MOUNTED_FILE),
    *_below("services.*.gpus[]", *_DEVICE_REQUEST),
    *_below("services.*.deploy.resources.reservations.devices[]", *_DEVICE_REQUEST),
    *_below("services.*.deploy.update_config", *_ROLLOUT),
    *_below("services.*.deploy.rollback_config", *_ROLLOUT),
    _row("networks.*", _NETWORK_OR_NULL, "One network."),
    *_below("networks.*", *_NETWORK),
    _row("volumes.*", record() | NULL, "One volume."),
    *_below("volumes.*", *_VOLUME),
    _row("configs.*", record(), "One config."),
    *_below("configs.*", *_FILE_OBJECT, *_CONFIG),
    _row("secrets.*", record(), "One secret."),
    *_below("secrets.*", *_FILE_OBJECT, *_SECRET),
    _row("models.*", record("model"), "One model.", policy=Policy.UNSUPPORTED),
    *_below("models.*", *_MODEL),
)
