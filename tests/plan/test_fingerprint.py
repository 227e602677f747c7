"""Does a bound plan stay good while only others move, and go bad once what it touches does?"""

from __future__ import annotations

from dataclasses import replace

from printed import NOW

from reconciler.model import labels
from reconciler.model.observed import Instance, ObservedImage, ObservedNetwork, ObservedState, Phase, Probe
from reconciler.model.plan import Group, Plan, Verb
from reconciler.plan.fingerprint import fingerprint

OURS = {labels.ENVIRONMENT: "test", labels.SPEC: "v1:k:1"}
WEB = Instance("i1", "web", OURS, Phase.RUNNING, Probe.HEALTHY, "sha256:1", NOW, NOW, None, detail={})
NETWORK = ObservedNetwork("n1", "net", OURS, {}, frozenset())
SEEN = ObservedState(NOW, instances=(WEB,), networks=(NETWORK,), images={"web:1": ObservedImage("sha256:1", ("web:1",))})
PLAN = Plan("test", "a" * 40, "subject", NOW)
BOUND = fingerprint(PLAN, SEEN)


def test_health_age_and_other_peoples_networks_do_not_count() -> None:
    foreign = ObservedNetwork("n2", "theirs", {labels.ENVIRONMENT: "other"}, {}, frozenset())
    later = replace(
        SEEN, at=NOW.replace(hour=13), instances=(replace(WEB, probe=Probe.UNHEALTHY),), networks=(NETWORK, foreign)
    )
    assert fingerprint(replace(PLAN, observed_at=later.at), later) == BOUND


def test_what_the_plan_touches_counts() -> None:
    moved = [
        replace(SEEN, instances=()),
        replace(SEEN, instances=(replace(WEB, id="i2"),)),
        replace(SEEN, instances=(replace(WEB, labels={**OURS, labels.SPEC: "v1:k:2"}),)),
        replace(SEEN, instances=(replace(WEB, detail={"NetworkSettings": {"Networks": {"net": {}}}}),)),
        replace(SEEN, networks=(replace(NETWORK, id="n3"),)),
        replace(SEEN, images={"web:1": None}),
    ]
    assert BOUND not in {fingerprint(PLAN, seen) for seen in moved}


def test_another_commit_and_other_groups_count() -> None:
    group = Group("shop/web", "shop", "web", Verb.HEAL, "restart", ())
    assert fingerprint(replace(PLAN, revision_id="b" * 40), SEEN) != BOUND
    assert fingerprint(replace(PLAN, groups=(group,)), SEEN) != BOUND
