# The reconciler as a container: `reconciler run`, without root, on a read-only file system.
# How to run it: reconciler/docs/guides/run-as-a-container.md

ARG BASE=python:3.11-slim

FROM ${BASE} AS base
# git and ssh fetch the repository. ssh refuses a user without a name, so the user has one.
RUN if ! command -v git || ! command -v ssh; then \
      apt-get update && apt-get install -y --no-install-recommends git openssh-client && rm -rf /var/lib/apt/lists/*; \
    fi && \
    useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin reconciler && \
    install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/reconciler

FROM base AS build
# Settings of the machine that builds, for pip alone: this stage is thrown away, so none of them stays in the image.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
# What it stands on changes seldom, and is built once for many versions.
COPY pyproject.toml /source/
RUN python3 -m venv /opt/reconciler && \
    python3 -c "import tomllib; print(*tomllib.load(open('/source/pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      >/requirements.txt && \
    /opt/reconciler/bin/python -m pip install --no-cache-dir --requirement /requirements.txt
COPY . /source
RUN /opt/reconciler/bin/python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source && \
    /opt/reconciler/bin/python -m pip install --no-cache-dir --no-deps /wheels/*.whl && \
    /opt/reconciler/bin/python -m pip uninstall --yes setuptools pip

FROM base
COPY --from=build /opt/reconciler /opt/reconciler
ENV PATH=/opt/reconciler/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RECONCILER_STATE=/var/lib/reconciler
USER 10001:10001
WORKDIR /var/lib/reconciler
VOLUME /var/lib/reconciler
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["reconciler", "health"]
ENTRYPOINT ["reconciler"]
CMD ["run"]
