"""The Store port on a directory: the database, the key of our labels, and the audit log."""

from reconciler.drivers.sqlite.store import MIGRATIONS, MOST_DAMAGED, SqliteStore
from reconciler.drivers.sqlite.turns import MOST_TURNS

__all__ = ["MIGRATIONS", "MOST_DAMAGED", "MOST_TURNS", "SqliteStore"]
