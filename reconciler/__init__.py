"""GitOps for plain Docker: push Compose files to Git, and your Docker hosts follow.

The data flow is the folder list, once per turn, level-triggered, in one process:

    source   one commit's files                      drivers/git.py, drivers/directory.py
    load     files -> DesiredState                   load/      pure
    observe  the engine, asked once -> ObservedState observe.py
    plan     (desired, observed, history) -> Plan    plan/      pure, every decision of the product
    apply    one port call per action                apply.py
    record   report -> history, status, events       record.py
"""

__version__ = "0.1.0"
