"""The lists of requirements are complete, consistent and hashed, so that they install without resolving anything."""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from promotions.local import virtualenv
from tests.architecture.test_tree import PRODUCT, ROOT, TRACKED
from tests.architecture.trees import list_nodes

FOLDER = ROOT / "requirements"
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.txt"))
IS_NEXT_DJANGO = Path(sys.prefix).name == virtualenv.NAME_FOR_NEXT_DJANGO
SOURCES = ("base", "demo", "telemetry", "test")
# Lists that are installed together. Their metadata is read from the running virtualenv.
SETS = [("next",)] if IS_NEXT_DJANGO else [SOURCES[:1], SOURCES[:2], ("base", "telemetry"), SOURCES]
# Debian 12 has 3.11.2, for which redis needs one package more than for 3.11.3.
PYTHONS = ["3.11.2", "3.11.9", "3.12.3", "3.13.5", "3.14.0"][2 * IS_NEXT_DJANGO :]
MACHINES = ["x86_64", "aarch64"]
# All other modules of the product need base.txt alone. Those of promotions/telemetry may need telemetry.txt.
NEEDS_DEMO = "promotions/simulation/"
NEEDS_TEST = (
    "promotions/management/kiosk_pictures.py",
    "promotions/management/till_pictures.py",
    "promotions/management/commands/screenshots.py",
)
RESOLVING = re.compile(
    r"\b(?:pip3?|uv) install\b|\b(?:pipx|uvx|npx|uv run|uv sync)\s|\bnpm (?:i|install)\s+(?!--global\b)"
)
SAFE_OPTIONS = ("--no-deps", "--require-hashes", "--only-binary=:all:")


@dataclass(frozen=True, slots=True)
class Pin:
    """One entry of a list."""

    requirement: Requirement
    hashes: Sequence[str]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        (only,) = self.requirement.specifier
        assert only.operator == "==", self.requirement
        return only.version


@dataclass(frozen=True, slots=True)
class Described:
    """The needs of a distribution."""

    requires: Sequence[Requirement]
    pythons: str = ""


def read_entries(text: str) -> list[str]:
    lines = (line.split(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@cache
def read_pins(name: str) -> list[Pin]:
    words = [re.split(r"\s+--hash=", entry) for entry in read_entries((FOLDER / f"{name}.txt").read_text("utf-8"))]
    return [Pin(Requirement(first), hashes) for first, *hashes in words]


def pins_of(names: Iterable[str]) -> dict[str, Pin]:
    return {pin.name: pin for name in names for pin in read_pins(name)}


def described_by_metadata(pin: Pin) -> Described:
    installed, described = read_metadata(pin.name)
    assert installed == pin.version, f"{pin.name}: {installed} is installed, not {pin.version}"
    return described


@cache
def read_metadata(name: str) -> tuple[str, Described]:
    distribution = metadata.distribution(name)
    requires = [Requirement(text) for text in distribution.requires or ()]
    return distribution.version, Described(requires, distribution.metadata.get("Requires-Python") or "")


def environment_of(python: str, machine: str = "x86_64") -> dict[str, str]:
    short = ".".join(python.split(".")[:2])
    return {
        **{name: str(value) for name, value in default_environment().items()},
        **{"python_version": short, "python_full_version": python, "implementation_version": python},
        **{"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": machine},
    }


def is_active(requirement: Requirement, extras: Iterable[str], environment: Mapping[str, str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))


def find_gaps(
    pins: Mapping[str, Pin],
    environment: Mapping[str, str],
    describe: Callable[[Pin], Described] = described_by_metadata,
) -> list[str]:
    """Return what the pinned distributions need and the lists do not give them."""
    gaps = []
    for pin in pins.values():
        described = describe(pin)
        if environment["python_full_version"] not in SpecifierSet(described.pythons):
            gaps.append(f"{pin.requirement} needs Python {described.pythons}")
        for needed in described.requires:
            if is_active(needed, pin.requirement.extras, environment):
                gaps += [f"{pin.requirement} needs {needed}: {fault}" for fault in faults_of(needed, pins)]
    return gaps


def faults_of(needed: Requirement, pins: Mapping[str, Pin]) -> list[str]:
    pin = pins.get(canonicalize_name(needed.name))
    if pin is None:
        return ["not listed"]
    faults = []
    if not needed.specifier.contains(pin.version, prereleases=True):
        faults.append(f"{pin.version} is listed")
    if needed.extras - pin.requirement.extras:
        faults.append("the extra is not listed")
    return faults


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("names", SETS, ids="+".join)
def test_every_need_of_a_listed_package_is_listed(names: tuple[str, ...], python: str, machine: str) -> None:
    pins = pins_of(names)

    assert len(pins) > 40
    assert find_gaps(pins, environment_of(python, machine)) == []


@pytest.mark.parametrize("name", SOURCES)
def test_every_package_we_ask_for_is_listed(name: str) -> None:
    requested = [Requirement(entry) for entry in read_entries((FOLDER / f"{name}.in").read_text("utf-8"))]
    pins = pins_of(SOURCES[: SOURCES.index(name) + 1])

    assert requested
    assert [str(one) for one in requested if faults_of(one, pins)] == []


def test_a_list_with_a_gap_is_found() -> None:
    needs = {
        "plugin": Described([Requirement("covered[toml]>=2"), Requirement('early; python_full_version < "3.11.3"')]),
        "covered": Described([Requirement('tables; extra == "toml"')], ">=3.11"),
    }

    def gaps(python: str, *entries: str) -> list[str]:
        pins = {pin.name: pin for pin in (Pin(Requirement(entry), ()) for entry in entries)}
        return find_gaps(pins, environment_of(python), lambda pin: needs.get(pin.name, Described([])))

    complete = ("plugin==1", "covered[toml]==2.5", "tables==1")
    early = 'plugin==1 needs early; python_full_version < "3.11.3"'
    assert gaps("3.11.3", *complete) == []
    assert gaps("3.11.2", *complete) == [f"{early}: not listed"]
    assert gaps("3.11.2", *complete, "early==1") == []
    assert gaps("3.11.3", *complete[:2]) == ['covered[toml]==2.5 needs tables; extra == "toml": not listed']
    assert gaps("3.11.3", "plugin==1", "covered==1") == [
        "plugin==1 needs covered[toml]>=2: 1 is listed",
        "plugin==1 needs covered[toml]>=2: the extra is not listed",
    ]
    assert gaps("3.10.1", *complete)[-1] == "covered[toml]==2.5 needs Python >=3.11"


@pytest.mark.parametrize("name", FILES)
def test_every_entry_is_one_release_with_hashes_and_no_address(name: str) -> None:
    pins = read_pins(name.removesuffix(".txt"))

    assert pins
    assert [
        str(pin.requirement) for pin in pins if not pin.version or pin.requirement.url or pin.requirement.marker
    ] == []
    assert [pin.name for pin in pins if not pin.hashes] == []
    assert {value.split(":")[0] for pin in pins for value in pin.hashes} == {"sha256"}
    assert "://" not in (FOLDER / name).read_text("utf-8")


def test_the_lists_pin_each_package_once_and_alike() -> None:
    versions: dict[str, set[str]] = {}
    for pin in (pin for name in SOURCES for pin in read_pins(name)):
        versions.setdefault(pin.name, set()).add(pin.version)
    differ = {name for name, pin in pins_of(["next"]).items() if versions.get(name, {pin.version}) != {pin.version}}

    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
    assert differ == {"django"}


def test_every_list_that_set_up_installs_is_there_and_no_other() -> None:
    used = {*virtualenv.FOR_TESTS, *virtualenv.FOR_TESTS_ON_NEXT_DJANGO, "lock"}

    assert {name.removesuffix(".txt") for name in FILES} == used


def test_pip_itself_is_never_replaced() -> None:
    lists = [name for name in FILES if not name.startswith("pip/")]

    assert [name for name in lists if "pip" in pins_of([name.removesuffix(".txt")])] == []


@cache
def distributions_by_module() -> dict[str, set[str]]:
    found = metadata.packages_distributions()
    return {module: {canonicalize_name(name) for name in names} for module, names in found.items()}


def imported_distributions(path: Path) -> dict[str, set[str]]:
    """Return each foreign module with the distributions that bring it, also of imports inside functions."""
    modules: set[str] = set()
    for node in list_nodes(path):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules.add((node.module or "").split(".")[0])
    own = {"geofence", "notifications", "promotions"}
    return {name: distributions_by_module().get(name, set()) for name in modules - own - sys.stdlib_module_names}


def find_unlisted(path: Path) -> set[str]:
    """Return the modules that a file imports and that the lists of its commands do not install."""
    name = str(path.relative_to(ROOT))
    demo = ("demo",) if name.startswith(NEEDS_DEMO) else ()
    telemetry = ("telemetry",) if "telemetry" in path.parts else ()
    test = ("demo", "test") if name in NEEDS_TEST else ()
    listed = pins_of(("base", *demo, *telemetry, *test)).keys()
    return {module for module, names in imported_distributions(path).items() if not names & listed}


def test_the_product_imports_only_what_its_commands_install() -> None:
    found = {str(path.relative_to(ROOT)): find_unlisted(path) for path in [*PRODUCT, ROOT / "manage.py"]}

    assert {name: modules for name, modules in found.items() if modules} == {}


def test_no_file_installs_by_resolving() -> None:
    found = []
    for path in TRACKED:
        if path.suffix in {".png", ".mo", ".woff2"} or path == Path(__file__):
            continue
        text = path.read_text("utf-8", errors="replace").replace("\\\n", " ")
        for line in text.splitlines() if RESOLVING.search(text) else ():
            if RESOLVING.search(line) and not all(option in line for option in SAFE_OPTIONS):
                found.append(f"{path.relative_to(ROOT)}: {line.strip()[:100]}")

    assert found == []
