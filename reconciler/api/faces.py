"""Which faces does the service registry show, where, and until when?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from reconciler.api.consul import MOST_REQUESTS, consul
from reconciler.api.http import serving
from reconciler.api.http_sd import http_sd
from reconciler.ports import Catalog
from reconciler.settings import RegistryFaces


@contextmanager
def shown(faces: RegistryFaces, catalog: Catalog, token: str = "") -> Iterator[None]:
    """Answer at every address that is given as long as the block lasts; whoever knows the token may register.

    Raises Refused for an address that is taken.
    """
    with ExitStack() as served:
        if faces.http:
            answers = consul(catalog, token)
            served.enter_context(serving(faces.http, answers, option="--registry-http", most_requests=MOST_REQUESTS))
        if faces.sd:
            served.enter_context(serving(faces.sd, http_sd(catalog), option="--registry-sd"))
        if faces.dns:
            from reconciler.api.datagrams import answering
            from reconciler.api.dns import answer

            served.enter_context(answering(faces.dns, lambda packet, udp: answer(packet, catalog, udp=udp)))
        yield
