"""Packages that the machine needs: checked first, installed with apt where possible, named in an error elsewhere."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from promotions.local import postgres, redis, shift
from promotions.local.console import echo, sign_of_life, tail
from promotions.local.errors import LocalError
from promotions.local.workspaces import ROOT

LOG = ROOT / "var" / "set-up.log"
INSTALL_SCRIPT = Path(__file__).with_name("install-debian.sh")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path("/Library/Fonts"))


@dataclass(frozen=True, slots=True)
class Missing:
    """Something to install: its plain name, its Debian package (None: to be chosen), and the servers it would start."""

    what: str
    package: str | None
    starts: str = ""


# Programs that test the samples in deploy/. Servers are installed without being started.
PROXIES = {
    "nginx": Missing("nginx", "nginx-light", "nginx"),
    "caddy": Missing("Caddy", "caddy", "caddy"),
    "systemd-analyze": Missing("systemd", "systemd"),
    "openssl": Missing("openssl", "openssl"),
}
WITH_SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def find_browser() -> str | None:
    """A Chromium or Chrome on this machine; `CHROMIUM` names another one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def browser_comes_as_snap() -> bool:
    """Ubuntu's package only fetches a snap, which neither containers nor an automated browser can use."""
    with suppress(FileNotFoundError):
        return "\nID=ubuntu\n" in f"\n{Path('/etc/os-release').read_text(encoding='utf-8')}\n"
    return False


def install_own_browser(python: Path) -> None:
    """Playwright's own browser, in its cache, for releases without a usable browser package."""
    if find_browser() is not None or not browser_comes_as_snap():
        return
    probe = (
        "import os, sys; from playwright.sync_api import sync_playwright as start\n"
        "with start() as playwright: sys.exit(not os.path.exists(playwright.chromium.executable_path))"
    )
    if subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode != 0:
        echo("Installing Chromium with Playwright: a minute or two, once.")
        _run([str(python), "-m", "playwright", "install", "--with-deps", "chromium"])


def find_missing(
    *,
    with_chromium: bool,
    with_wrk: bool = False,
    with_npm: bool = False,
    with_proxies: bool = False,
    with_compiler: bool = False,
    environment: Mapping[str, str],
) -> list[Missing]:
    """List the packages that are missing. A server whose address is in the environment is not needed here."""
    missing = []
    if find_spec("ensurepip") is None or find_spec("venv") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        missing.append(Missing(f"Python's venv module (for Python {version})", f"python{version}-venv"))
    if not environment.get("DATABASE_URL") and postgres.usable_installation() is None:
        starts = "" if postgres.installations() else "postgresql"
        missing.append(Missing(f"PostgreSQL {postgres.OLDEST_MAJOR} or newer with PostGIS", None, starts))
    if not environment.get("REDIS_URL") and redis.find_program() is None:
        missing.append(Missing("Redis", "redis-server", "redis"))
    if with_chromium and find_browser() is None and not browser_comes_as_snap():
        missing.append(Missing("Chromium", "chromium"))
    if with_chromium and not any(next(folder.rglob("*.[to]tf"), None) for folder in FONT_FOLDERS):
        missing.append(Missing("a font for Chromium", "fonts-dejavu-core"))
    if with_wrk and shutil.which("wrk") is None:
        missing.append(Missing("wrk, the load generator", "wrk"))
    if with_npm and shutil.which("npm") is None:
        missing.append(Missing("npm", "npm"))
    if with_proxies:
        missing += [one for program, one in PROXIES.items() if shutil.which(program, path=WITH_SBIN) is None]
    if with_compiler and shift.find_compiler() is None:
        missing += [Missing("a C compiler", "gcc"), Missing("the C library's headers", "libc6-dev")]
    return missing


def install_missing(
    *,
    with_chromium: bool,
    with_wrk: bool = False,
    with_npm: bool = False,
    with_proxies: bool = False,
    with_compiler: bool = False,
    environment: Mapping[str, str],
) -> None:
    """Install what is missing, or name what to install. Does nothing when nothing is missing."""

    def probe() -> list[Missing]:
        return find_missing(
            with_chromium=with_chromium,
            with_wrk=with_wrk,
            with_npm=with_npm,
            with_proxies=with_proxies,
            with_compiler=with_compiler,
            environment=environment,
        )

    missing = probe()
    if not missing:
        return
    names = ", ".join(one.what for one in missing)
    as_root = _way_to_root(names, by_apt=" ".join(one.package or "postgresql-postgis" for one in missing))
    LOG.parent.mkdir(parents=True, exist_ok=True)
    echo(f"Installing {names}: a minute or two, once.")
    _run([*as_root, "apt-get", "update", "-qq"])
    packages = [one.package or _postgis_package() for one in missing]
    held = " ".join(one.starts for one in missing if one.starts)
    _run([*as_root, "sh", str(INSTALL_SCRIPT), held, *packages])
    if still := probe():
        raise LocalError(f"Still missing after the installation: {', '.join(one.what for one in still)}. See {LOG}.")


def _way_to_root(names: str, *, by_apt: str) -> list[str]:
    """Return the prefix of a command that needs root, or raise an error with the remedy."""
    if shutil.which("apt-get") is None or not Path("/etc/debian_version").exists():
        raise LocalError(
            f"Missing: {names}. Install it, and run this command again; or point DATABASE_URL and REDIS_URL at servers "
            f"you have (PostgreSQL with PostGIS; Redis with appendonly yes and maxmemory-policy noeviction).{_hint()}"
        )
    if os.geteuid() == 0:
        return []
    by_hand = f"Missing: {names}. As root run 'apt-get install {by_apt}', and then this command again"
    sudo = shutil.which("sudo")
    if sudo is None:
        raise LocalError(f"{by_hand}: this user is not root and there is no sudo.")
    without_password = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
    if not without_password and not sys.stdin.isatty():
        raise LocalError(f"{by_hand}: sudo asks for a password and there is no terminal to ask on.")
    # Asked now, since the elapsed seconds would overwrite a later prompt.
    if not without_password and subprocess.run([sudo, "--validate"], check=False).returncode != 0:
        raise LocalError(f"{by_hand}: sudo refused.")
    return [sudo]


def _hint() -> str:
    if sys.platform == "darwin":
        return " With Homebrew: brew install postgresql@17 postgis redis."
    return ""


def _postgis_package() -> str:
    """PostGIS for the newest server installed, else for the newest that the release offers; it installs that server
    too."""
    listed = subprocess.run(["apt-cache", "pkgnames", "postgresql-"], capture_output=True, text=True, check=False)
    offered = {int(major) for major in re.findall(r"^postgresql-(\d+)-postgis-3$", listed.stdout, re.MULTILINE)}
    usable = {major for major in offered if major >= postgres.OLDEST_MAJOR}
    if not usable:
        raise LocalError(f"This release offers no PostGIS for PostgreSQL {postgres.OLDEST_MAJOR} or newer.")
    installed = {one.major for one in postgres.installations()} & usable
    return f"postgresql-{max(installed or usable)}-postgis-3"


def _run(argv: list[str]) -> None:
    with LOG.open("ab") as log, sign_of_life():
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise LocalError(f"Failed: {' '.join(argv)}. The end of {LOG}:\n{tail(LOG)}")
