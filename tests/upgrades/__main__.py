"""`python -m tests.upgrades`: check the migrations not released yet. `--release 0.2.0` lists all as released."""

import argparse
import os
import sys

import django


def main() -> int:
    """Print a line per fault; the exit code is 1 when there is one."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promotions.settings")
    django.setup()
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    from tests.upgrades.rules import APPS, RELEASED, find_project_faults, read_release

    parser = argparse.ArgumentParser(prog="python -m tests.upgrades", description=__doc__)
    parser.add_argument("--release", metavar="VERSION", help="write every migration into the list, as released in it")
    options = parser.parse_args()
    loader = MigrationLoader(connection)
    if options.release:
        names = "".join(f'    "{app}.{name}",\n' for app, name in sorted(loader.disk_migrations) if app in APPS)
        head = RELEASED.read_text(encoding="utf-8").partition("release = ")[0]
        RELEASED.write_text(f'{head}release = "{options.release}"\nmigrations = [\n{names}]\n', encoding="utf-8")
        return 0
    faults = find_project_faults(loader, read_release(loader), connection)
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
