"""Looks at this machine: folders, releases, time zone data, and where messages go."""

import os
import shutil
import sys
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

import django
from django.conf import settings

from notifications.logic.addresses import ADDRESS_KINDS
from notifications.transports import find_transport
from promotions import conf
from promotions.doctor.context import Context
from promotions.logic.diagnosis import Row, evaluate_releases, evaluate_space, fault, ok, warning

_ZONE = "Europe/Paris"


def check_disk(context: Context) -> Iterator[Row]:
    """Space and rights in the folders that processes write."""
    # A deployment writes nothing beside its code.
    is_clone = "DEBUG" not in context.faulty and conf.envbool("DEBUG")
    places = {"Work folder": Path(settings.BASE_DIR) / "var"} if is_clone else {}
    if "PROMETHEUS_MULTIPROC_DIR" not in context.faulty and (folder := conf.envtext("PROMETHEUS_MULTIPROC_DIR")):
        places["PROMETHEUS_MULTIPROC_DIR"] = Path(folder)
    if "file" in settings.NOTIFICATION_TRANSPORT.values() and "NOTIFICATION_FILE" not in context.faulty:
        places["NOTIFICATION_FILE"] = Path(settings.NOTIFICATION_FILE).parent
    for what, path in places.items():
        if not path.is_dir():
            yield warning(f"{what}: {path} is not there.", f"Create it: mkdir -p {path}")
            continue
        free_bytes = shutil.disk_usage(path).free
        yield evaluate_space(what, str(path), free_bytes=free_bytes, is_writable=os.access(path, os.W_OK | os.X_OK))


def check_releases(context: Context) -> Iterator[Row]:
    return evaluate_releases((sys.version_info[0], sys.version_info[1]), django.VERSION[:2], today=context.now.date())


def check_time_zones(context: Context) -> Iterator[Row]:
    """Check that the hours of a store can be computed."""
    try:
        zoneinfo.ZoneInfo(_ZONE)
    except zoneinfo.ZoneInfoNotFoundError:
        yield fault("There is no time zone data.", "Install the package tzdata, of the system or of Python.")
        return
    yield ok(f"{len(zoneinfo.available_timezones())} zones{_read_release()}.")


def _read_release() -> str:
    for folder in zoneinfo.TZPATH:
        file = Path(folder) / "tzdata.zi"
        if file.is_file():
            with file.open(encoding="utf-8") as lines:
                return f", release {lines.readline().removeprefix('# version').strip()}"
    return ""


def check_transport(context: Context) -> Iterator[Row]:
    """The transport of each kind of address. The settings reject a file that cannot be written."""
    skipped = list(context.explain_skip("NOTIFICATION_TRANSPORT", "NOTIFICATION_FILE"))
    if skipped:
        yield from skipped
        return
    kinds_by_name: dict[str, list[str]] = {}
    for kind, _label in ADDRESS_KINDS:
        transport = find_transport(kind)
        kinds_by_name.setdefault(transport.name if transport else "", []).append(kind)
    without = kinds_by_name.pop("", [])
    for name, kinds in kinds_by_name.items():
        file = f" into {settings.NOTIFICATION_FILE}" if name == "file" else ""
        yield ok(f"Transport `{name}`{file}: messages to {', '.join(kinds)} addresses.")
    if without:
        yield warning(
            f"No transport: messages to {', '.join(without)} addresses fail.",
            "Add a transport for these kinds to NOTIFICATION_TRANSPORT, if apps register them.",
        )
