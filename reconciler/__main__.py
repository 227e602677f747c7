"""Start the command line: `python -m reconciler`, and the console script."""

from __future__ import annotations

import sys


def main() -> int:
    """Run what the command line says. Returns the exit code."""
    if sys.argv[1:] == ["--version"]:
        # Start-up time is a feature: nothing is imported to say this.
        from reconciler import __version__

        sys.stdout.write(f"reconciler {__version__}\n")
        return 0
    from reconciler.cli import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
