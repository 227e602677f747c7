"""Which labels say whose an object is, and what held when it was made?

Labels are never changed after creation: the engine cannot, and a label that says what held *at creation* cannot lie.
Compose's identity labels stand beside ours so that `docker compose ls|ps|logs|exec` and the dashboards people use show
our containers as they would their own.
"""

from __future__ import annotations

ENVIRONMENT = "io.reconciler.environment"
STACK = "io.reconciler.stack"
SERVICE = "io.reconciler.service"
SLOT = "io.reconciler.slot"
SPEC = "io.reconciler.spec"
REVISION = "io.reconciler.created-revision"
ROLE = "io.reconciler.role"
KIND = "io.reconciler.kind"
"""What the container was made for: to run (`service`), or to run once (`job`)."""
FIELDS = "io.reconciler.fields"
"""Which engine fields Git set at creation, comma-separated: so that a field that Git no longer sets is seen."""
DELIVERED = "io.reconciler.delivered"
"""Which files were put into the container before its first start, a line each: so that one that Git drops is seen."""
SHOWN = "io.reconciler.shown"
"""Names of environment variables whose value stood literally in Git at creation, so a plan may show the old value."""

LEASE = "io.reconciler.lease"
HOLDER = "io.reconciler.lease.holder"
EXPIRES = "io.reconciler.lease.expires"
JOB = "io.reconciler.job"
"""On the empty volume that remembers a finished job: its spec hash."""
JOB_IMAGE = "io.reconciler.job.image"
JOB_SHOWN = "io.reconciler.job.shown"
"""Beside it the image reference, and a hash without a key of what any plan may show: both still tell something when the key
of the spec hash is lost."""

OURS = "io.reconciler."

COMPOSE = "com.docker.compose."
COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_NUMBER = "com.docker.compose.container-number"
COMPOSE_ONEOFF = "com.docker.compose.oneoff"
COMPOSE_HASH = "com.docker.compose.config-hash"
COMPOSE_NETWORK = "com.docker.compose.network"
COMPOSE_VOLUME = "com.docker.compose.volume"
COMPOSE_WORKING_DIR = "com.docker.compose.project.working_dir"
COMPOSE_CONFIG_FILES = "com.docker.compose.project.config_files"
COMPOSE_DEPENDS_ON = "com.docker.compose.depends_on"

ROLE_INSTANCE = "instance"
ROLE_CONTENT = "content"
ROLE_JOB = "job"
ROLE_LEASE = "lease"
