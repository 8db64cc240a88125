"""Reads settings from the environment, checks all of them, and collects every fault into one list."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from promotions.conf import forms, places
from promotions.conf.registry import SETTINGS
from promotions.conf.setting import YEAR, Setting
from promotions.errors import ConfigurationError
from promotions.logs import refuse_start

T = TypeVar("T")

_SHEDDING = ("SHED_REPORTS_AGE_S", "SHED_FIXES_AGE_S", "SHED_UNLOCKS_AGE_S")
_PACKAGES = {
    "SENTRY_DSN": ("sentry_sdk",),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http"),
}
# Two decimal numbers and a rate, as the demo gives them.
_WARP = re.compile(r"-?[0-9.]+,-?[0-9.]+,[0-9.]+(,-?[0-9.]+)?")
# Similar enough for a slip of the keyboard: one or two letters of a dozen.
_SIMILARITY = 0.86


class _Mode:
    """If set, defaults replace faulty settings: for the doctor, which reports the faults itself."""

    is_tolerant = False
    faults: "tuple[Fault, ...]" = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One setting that cannot be used, and a sentence with the reason and the remedy."""

    name: str
    sentence: str


def tolerate_faults() -> None:
    """Use the default of a faulty setting from now on, so that `manage.py doctor` runs and can report it."""
    _Mode.is_tolerant = True
    _Mode.faults = tuple(find_faults())


def list_tolerated() -> tuple[Fault, ...]:
    """Return the faults that `tolerate_faults` found, before settings changed the environment."""
    return _Mode.faults


def envbool(name: str) -> bool:
    return _read(name, bool)


def envint(name: str) -> int:
    return _read(name, int)


def envfloat(name: str) -> float:
    """A number that need not be whole."""
    return _read(name, float)


def envtext(name: str) -> str:
    """A text, address, path or secret."""
    return _read(name, str)


def envlist(name: str) -> list[str]:
    return _read(name, list)


def envlistener(name: str) -> tuple[str, int] | None:
    """Return an address and a port; None when there is none."""
    return _read(name, tuple) or None


def envmap(name: str) -> dict[str, str]:
    return _read(name, dict)


def is_given(name: str, environment: Mapping[str, str] | None = None) -> bool:
    """Return whether the operator set the variable, or the file of a secret."""
    given = os.environ if environment is None else environment
    return bool(given.get(name) or (SETTINGS[name].is_secret and given.get(f"{name}_FILE")))


def _read(name: str, kind: type[T]) -> T:
    setting = SETTINGS[name]
    is_replaced = any(fault.name == name for fault in _Mode.faults)
    value = setting.form.parse(setting.default) if is_replaced else _parse(setting, os.environ)
    if not isinstance(value, kind):
        raise TypeError(f"{name} is declared as {type(setting.form).__name__}, not as {kind.__name__}.")
    return value


def _parse(setting: Setting, environment: Mapping[str, str]) -> object:
    """The checked value. Errors: ConfigurationError, with one sentence."""
    text = _read_text(setting, environment)
    try:
        return setting.form.parse(text)
    except ValueError as error:
        given = "cannot be used" if setting.is_secret else f"is {text!r}"
        reason = f"{error}. It" if str(error) else "it"
        raise ConfigurationError(f"{setting.name} {given}: {reason} must be {setting.form.allowed}.") from error


def _read_text(setting: Setting, environment: Mapping[str, str]) -> str:
    name, path = setting.name, environment.get(f"{setting.name}_FILE")
    if not setting.is_secret or not path:
        return environment.get(name, setting.default)
    if environment.get(name):
        raise ConfigurationError(f"{name} and {name}_FILE are both set: keep one of them.")
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"{name}_FILE names {path}, which cannot be read ({error.strerror}): name a file that this user can read."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name}_FILE names {path}, which is not UTF-8 text.") from error
    if not text:
        raise ConfigurationError(f"{name}_FILE names {path}, which is empty: write the value into it.")
    return text


def find_faults(environment: Mapping[str, str] | None = None) -> list[Fault]:
    """Return every fault of the settings in `environment`, by default this process's: none is left for later."""
    given = os.environ if environment is None else environment
    values: dict[str, object] = {}
    faults = []
    for name, setting in SETTINGS.items():
        try:
            values[name] = _parse(setting, given)
        except ConfigurationError as error:
            faults.append(Fault(name, str(error)))
    for rule in _RULES:
        faults += rule(values, given)
    return faults + [Fault(name, sentence) for name, sentence in places.find_obstacles(values)]


def _require(values: Mapping[str, object], given: Mapping[str, str]) -> Iterator[Fault]:
    """A setting without a safe default is required outside DEBUG."""
    if values.get("DEBUG"):
        return
    for name, setting in SETTINGS.items():
        if setting.is_required and name in values and not is_given(name, given):
            file = f", also in a file that {name}_FILE names" if setting.is_secret else ""
            yield Fault(name, f"{name} is not set: it must be {setting.form.allowed}{file}.")


def _check_secrets(values: Mapping[str, object], given: Mapping[str, str]) -> Iterator[Fault]:
    """Secrets are long and differ; any will do in development."""
    if values.get("DEBUG"):
        return
    secrets = {name: text for name, text in values.items() if text and isinstance(SETTINGS[name].form, forms.Secret)}
    for name, text in secrets.items():
        form = SETTINGS[name].form
        if isinstance(form, forms.Secret) and len(str(text)) < form.min_chars:
            yield Fault(name, f"{name} is too short: it must be {form.allowed}.")
    if len(set(secrets.values())) < len(secrets):
        yield Fault(next(iter(secrets)), f"{_join(list(secrets))} must differ from each other.")


def _check_warp(values: Mapping[str, object], given: Mapping[str, str]) -> Iterator[Fault]:
    """The demo's fast clock, which is no setting of a deployment."""
    warp = given.get("CLOCK_WARP", "")
    if warp and not values.get("DEBUG"):
        yield Fault("CLOCK_WARP", "CLOCK_WARP makes time run faster: it is for the demo, with DEBUG=1 only.")
    elif warp and not _WARP.fullmatch(warp):
        yield Fault("CLOCK_WARP", "CLOCK_WARP must be three or four numbers separated by commas: remove it.")


def _check_shedding(values: Mapping[str, object], given: Mapping[str, str]) -> Iterator[Fault]:
    """Reports are refused first, then fixes, then unlocks."""
    ages_s = [age_s for name in _SHEDDING if isinstance(age_s := values.get(name), int)]
    if ages_s != sorted(ages_s):
        yield Fault(_SHEDDING[0], f"{_join(_SHEDDING)} must not decrease in this order.")


def _check_preload(values: Mapping[str, object], given: Mapping[str, str]) -> Iterator[Fault]:
    """Browsers' lists take a host only with all names under it and for a year."""
    age_s = values.get("HSTS_SECONDS")
    is_short = isinstance(age_s, int) and age_s < YEAR
    if values.get("HSTS_PRELOAD") and (is_short or not values.get("HSTS_INCLUDE_SUBDOMAINS")):
        yield Fault(
            "HSTS_PRELOAD",
            f"HSTS_PRELOAD=1 needs HSTS_INCLUDE_SUBDOMAINS=1 and HSTS_SECONDS of {YEAR} or more: set both, "
            "or remove HSTS_PRELOAD.",
        )


def _check_packages(values: Mapping[str, object], given: Mapping[str, str]) -> Iterator[Fault]:
    """Packages that a deployment installs only for these settings."""
    for name, modules in _PACKAGES.items():
        if values.get(name) and not all(_is_installed(module) for module in modules):
            yield Fault(
                name,
                f"{name} is set and its packages are not installed: run `deploy/build/packages base telemetry` (for an "
                f'image: build with LISTS="base telemetry", for a clone: `make setup-tests`), or remove {name}.',
            )


def _is_installed(module: str) -> bool:
    """Look for a module without importing it; packages above it are imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _join(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


_RULES: tuple[Callable[[Mapping[str, object], Mapping[str, str]], Iterator[Fault]], ...] = (
    _require,
    _check_secrets,
    _check_warp,
    _check_shedding,
    _check_preload,
    _check_packages,
)


def require_sound_settings() -> None:
    """Return when all settings can be used. Errors: ConfigurationError, one line per fault."""
    faults = [] if _Mode.is_tolerant else find_faults()
    if faults:
        raise ConfigurationError("\n".join(fault.sentence for fault in faults))


def refuse_faulty_settings(*, is_command: bool = False) -> None:
    """Exit with one sentence per fault; return when there is none. Called before Django is loaded."""
    try:
        require_sound_settings()
    except ConfigurationError as error:
        refuse_start(str(error).splitlines(), is_command=is_command)


def find_misspelt(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return a sentence for each variable that is no setting and looks like one."""
    given = os.environ if environment is None else environment
    known = {*SETTINGS, *(f"{name}_FILE" for name, setting in SETTINGS.items() if setting.is_secret)}
    found = []
    for name in sorted(set(given) - known):
        meant = _guess(name, known)
        if meant and meant not in given:
            found.append(f"{name} is no setting: did you mean {meant}?")
    return found


def _guess(name: str, known: set[str]) -> str | None:
    for prefix in ("DOORSTEP_", "DJANGO_"):
        if name.removeprefix(prefix) in known:
            return name.removeprefix(prefix)
    return next(iter(get_close_matches(name, known, n=1, cutoff=_SIMILARITY)), None)
