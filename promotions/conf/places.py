"""Checks of the files and folders that settings name: this user must be able to read or write them."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from promotions.conf.addresses import parse_postgis_url, parse_redis_url

# Parameters of addresses that name a file; `system` is libpq's word for the system's certificates.
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def find_obstacles(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the setting and a sentence for each place that cannot be used. Creates no file."""
    if folder := str(values.get("PROMETHEUS_MULTIPROC_DIR") or ""):
        yield from _explain("PROMETHEUS_MULTIPROC_DIR", folder, _find_folder_obstacle(Path(folder)))
    routes = values.get("NOTIFICATION_TRANSPORT")
    if isinstance(routes, dict) and "file" in routes.values():
        file = Path(str(values.get("NOTIFICATION_FILE") or ""))
        yield from _explain("NOTIFICATION_FILE", str(file), find_file_obstacle(file))
    for name in ("GEOS_LIBRARY_PATH", "GDAL_LIBRARY_PATH"):
        library = str(values.get(name) or "")
        if library and not os.access(library, os.R_OK):
            yield name, f"{name} names {library}, which cannot be read: name the library's file, or leave it empty."
    for name in ("DATABASE_URL", "REDIS_URL", "STREAM_URL"):
        yield from _find_missing_files(name, str(values.get(name) or ""))


def _find_missing_files(name: str, url: str) -> Iterator[tuple[str, str]]:
    """Files of TLS: libpq connects in clear to a server without TLS before it looks for them."""
    if not url:
        return
    parameters = (
        parse_postgis_url(url).parameters
        if name == "DATABASE_URL"
        else parse_redis_url(url, may_be_cluster=True).parameters
    )
    for parameter in _FILES:
        file = parameters.get(parameter)
        if file and file != "system" and not (os.path.isfile(file) and os.access(file, os.R_OK)):
            yield (
                name,
                f"{name} names {file} as {parameter}, which cannot be read: name a file that this user can read.",
            )


def _explain(name: str, path: str, obstacle: str | None) -> Iterator[tuple[str, str]]:
    if obstacle:
        yield name, f"{name} names {path}, {obstacle}: choose a place that this user may write, or grant the right."


def _find_folder_obstacle(folder: Path) -> str | None:
    """Find the reason why this user cannot write into the folder, which is created first where needed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        return "which is no folder"
    except OSError as error:
        return f"which cannot be created ({error.strerror})"
    return None if os.access(folder, os.W_OK | os.X_OK) else "which cannot be written"


def find_file_obstacle(file: Path) -> str | None:
    """Return what keeps this user from writing the file; its folder is created if need be."""
    if not file.name or file.is_dir():
        return "which is no file"
    if file.exists():
        return None if os.access(file, os.W_OK) else "which cannot be written"
    obstacle = _find_folder_obstacle(file.parent)
    return f"in a folder {obstacle.removeprefix('which ')}" if obstacle else None
