"""The registry of settings an operator may give: name, type, default, unit, help. `docs/settings.md` is its printout."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from promotions.errors import ConfigurationError

T = TypeVar("T")

Kind = Literal["bool", "int", "float", "text", "list", "secret"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable. A secret may also come from the file named by `<NAME>_FILE`."""

    name: str
    kind: Kind
    default: str
    unit: str
    help: str


SETTINGS: dict[str, Setting] = {}


def _declare(name: str, kind: Kind, default: str, unit: str, help: str) -> None:
    SETTINGS[name] = Setting(name, kind, default, unit, help)


def _raw(name: str) -> str:
    setting = SETTINGS[name]
    if setting.kind == "secret" and (path := os.environ.get(f"{name}_FILE")):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"{name}_FILE names {path}, which cannot be read: {error.strerror}.") from error
    return os.environ.get(name, setting.default)


def _read(name: str, parse: Callable[[str], T], wanted: str) -> T:
    text = _raw(name)
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigurationError(f"{name} must be {wanted}, not {text!r}.") from error


def _parse_bool(text: str) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
        "": False,
    }
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def envbool(name: str) -> bool:
    """A yes or no."""
    return _read(name, _parse_bool, "1 or 0")


def envint(name: str) -> int:
    """A whole number."""
    return _read(name, int, "a whole number")


def envtext(name: str) -> str:
    """A text or secret, as given."""
    return _raw(name)


def envlist(name: str) -> list[str]:
    """Comma-separated words."""
    return [word.strip() for word in _raw(name).split(",") if word.strip()]


_declare(
    "DEBUG",
    "bool",
    "0",
    "",
    "Development mode: default secrets allowed, sandbox phone at `/`, no HTTPS redirect.",
)
_declare("SECRET_KEY", "secret", "", "", "Signs admin sessions. Required outside DEBUG.")
_declare("SECRET_KEY_FALLBACKS", "list", "", "", "Former values of SECRET_KEY, still accepted.")
_declare(
    "DEVICE_TOKEN_SECRET",
    "secret",
    "",
    "",
    "Signs access tokens and ingest keys of phones. Required outside DEBUG.",
)
_declare("DEVICE_TOKEN_SECRET_FALLBACKS", "list", "", "", "Former values of DEVICE_TOKEN_SECRET, still accepted.")
_declare(
    "CODE_SECRET",
    "secret",
    "",
    "",
    "Coupon codes, QR tokens, store codes and the keys of presence tokens are derived from it: keep it for as long as coupons live. Required outside DEBUG.",
)
_declare("ALLOWED_HOSTS", "list", "localhost,127.0.0.1,[::1]", "", "Host names this deployment answers to.")
_declare(
    "CSRF_TRUSTED_ORIGINS",
    "list",
    "",
    "",
    "Origins (scheme and host) from which admin forms may be posted, behind a proxy.",
)
_declare(
    "PUBLIC_BASE_URL",
    "text",
    "",
    "",
    "The address phones and staff devices reach us at, for QR codes, and the `iss` of presence tokens. Empty: taken from the request, and `urn:doorstep`.",
)
_declare(
    "DATABASE_URL",
    "secret",
    "",
    "",
    "`postgis://user:password@host:port/name`. The project's own commands start a private cluster when it is empty.",
)
_declare(
    "DATABASE_POOL_SIZE",
    "int",
    "0",
    "connections",
    "Connections a web process keeps open; 0 means one per thread (workers, commands).",
)
_declare("REDIS_URL", "secret", "", "", "`redis://:password@host:port/db`. Must run with AOF and `noeviction`.")
_declare(
    "STREAM_URL",
    "secret",
    "",
    "",
    "Where the fix streams live, if not at REDIS_URL: another Redis, or `redis+cluster://` (with TLS `rediss+cluster://`) and the address of a node of a Redis Cluster.",
)
_declare(
    "REDIS_PREFIX",
    "text",
    "doorstep",
    "",
    "First part of every Redis key, for deployments that share a server.",
)
_declare(
    "STREAM_SHARDS",
    "int",
    "16",
    "shards",
    "Fix streams; a device always writes to the same one. Change only with empty streams.",
)
_declare(
    "PIPELINE_BATCH_FIXES",
    "int",
    "20000",
    "fixes",
    "Fixes a worker takes from a shard in one transaction, about; whole stream entries only.",
)
_declare("FIX_MAX_AGE_S", "int", "604800", "s", "Older fixes are refused on arrival.")
_declare("FIX_MAX_FUTURE_S", "int", "300", "s", "Fixes further in the future are refused on arrival.")
_declare(
    "ACCESS_TOKEN_LIFE_S",
    "int",
    "31536000",
    "s",
    "Life of a device's access token; revoked earlier by withdrawal and erasure.",
)
_declare(
    "MESSAGES_PER_DEVICE_PER_DAY",
    "int",
    "3",
    "messages",
    "Location messages one device may get in one local day, over all brands.",
)
_declare(
    "MESSAGE_MAX_LATENESS_S",
    "int",
    "600",
    "s",
    "A fix that arrives later than this after it was taken sends nothing.",
)
_declare(
    "QUIET_HOURS",
    "text",
    "21:30-08:00",
    "local time",
    "No message goes out in these hours of the store's zone; empty: none.",
)
_declare("NOTIFICATION_TRANSPORT", "text", "console", "", "`console` or `file`: where messages go.")
_declare(
    "NOTIFICATION_FILE",
    "text",
    "var/messages.jsonl",
    "",
    "The file transport's file, one JSON object per line.",
)
_declare("UNLOCK_FIX_MAX_AGE_S", "int", "120", "s", "An unlock needs a fix no older than this.")
_declare(
    "STORE_CODE_DEVICES_NORM",
    "int",
    "10",
    "devices",
    "More devices than this on one 15 s step of a store's code raise an alarm: someone may be passing the code on.",
)
_declare(
    "RESERVATION_LIFE_S",
    "int",
    "2700",
    "s",
    "How long “keep my turn” sets a unit of a cap aside: three of four who come at all come within half an hour.",
)
_declare(
    "RESERVATIONS_PER_DEVICE",
    "int",
    "3",
    "reservations",
    "Turns one device may keep at a time, over all campaigns.",
)
_declare("VOID_WINDOW_S", "int", "900", "s", "A staff device may void its own redemption this long.")
_declare("VOID_WINDOW_MANAGER_S", "int", "604800", "s", "A store manager may void a redemption this long.")
_declare(
    "STAFF_IDLE_SIGN_OUT_S",
    "int",
    "14400",
    "s",
    "Whoever signed in at a till and has taken nothing for this long is signed out.",
)
_declare(
    "GUESSES_PER_MINUTE",
    "int",
    "60",
    "codes",
    "Unknown codes all tills may show; beyond, those that showed one in the last minute must wait. 0: no limit.",
)
_declare(
    "OFFLINE_COUPONS_PER_TILL",
    "int",
    "20",
    "coupons",
    "Coupons a till may take without network within twelve hours; 0: none.",
)
_declare(
    "OFFLINE_VALUE_PER_TILL",
    "int",
    "100",
    "store's currency",
    "What these coupons may be worth together. A brand's worst loss is this times the tills that take its coupons.",
)
_declare(
    "OFFLINE_MAX_COUPON_VALUE",
    "int",
    "20",
    "store's currency",
    "A coupon of which one use is worth more is never taken without network; nor is one of unknown value.",
)
_declare("STAFF_ENROLMENT_LIFE_S", "int", "600", "s", "Life of the one-time token in an enrolment QR.")
_declare("IDEMPOTENCY_LIFE_S", "int", "86400", "s", "How long an answer is kept for a repeated Idempotency-Key.")
_declare(
    "WEB_PROCESSES",
    "int",
    "1",
    "processes",
    "Web processes that share the rate limits: while Redis is away, each allows its part of a limit.",
)
_declare(
    "TRUSTED_PROXIES",
    "int",
    "0",
    "proxies",
    "Proxies before the web process that add to `X-Forwarded-For`; so many entries are believed, from the right. With 0, `X-Forwarded-Proto` is not believed either.",
)
_declare(
    "FIX_REQUESTS_PER_DEVICE_PER_MINUTE",
    "int",
    "120",
    "requests",
    "Posts of fixes one device may make; 0: no limit, which is the default with DEBUG.",
)
_declare(
    "UNLOCKS_PER_DEVICE_PER_MINUTE",
    "int",
    "30",
    "requests",
    "Unlocks one device may ask for; 0: no limit, which is the default with DEBUG.",
)
_declare(
    "REGISTRATIONS_PER_ADDRESS_PER_MINUTE",
    "int",
    "300",
    "requests",
    "Devices one network address may register (mobile networks put many phones behind one); 0: no limit, which is the default with DEBUG.",
)
_declare(
    "ENROLMENTS_PER_ADDRESS_PER_MINUTE",
    "int",
    "30",
    "requests",
    "Enrolment tokens one network address may try; 0: no limit, which is the default with DEBUG.",
)
_declare(
    "SLOW_FIXES_AGE_S",
    "int",
    "30",
    "s",
    "When a shard's oldest entry has waited longer, answers to fixes carry `X-Next-After`.",
)
_declare("SLOW_FIXES_NEXT_AFTER_S", "int", "120", "s", "What `X-Next-After` says then.")
_declare(
    "SHED_REPORTS_AGE_S", "int", "60", "s", "When any shard's oldest entry has waited longer, reports are refused."
)
_declare(
    "SHED_FIXES_AGE_S",
    "int",
    "120",
    "s",
    "When a shard's oldest entry has waited longer, fixes of its devices are refused.",
)
_declare(
    "SHED_UNLOCKS_AGE_S",
    "int",
    "900",
    "s",
    "When a shard's oldest entry has waited longer, unlocks of its devices are refused. Redemptions never are.",
)
_declare(
    "READY_MAX_AGE_S", "int", "120", "s", "When any shard's oldest entry has waited longer, `/readyz` answers 503."
)
_declare(
    "PROMETHEUS_MULTIPROC_DIR",
    "text",
    "",
    "",
    "Folder in which web, workers and beat of one machine count for `/metrics`; empty it when the machine starts. Empty: each counts alone.",
)
_declare("MAP_TILE_URL", "text", "", "", "Tile address for maps, `{z}/{x}/{y}`; empty: maps without tiles.")
_declare("LOG_LEVEL", "text", "INFO", "", "DEBUG, INFO, WARNING or ERROR.")
