"""Which tests run one after the other in the same process of pytest-xdist: those that share something costly."""

import pytest

_WIDE = ("module", "package", "session")


def find_group(item: pytest.Item) -> str | None:
    """Name what a test shares with others, or None.

    A fixture that outlives a test is made once only where all its tests run in one process. For a fixture of the whole
    session that is one group for all of them; for one of a package or a module, a group for each module. Fixtures of
    the root conftest and of plugins are cheap or needed everywhere, and group nothing.
    """
    definitions = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009
    shared = [
        definition
        for defined in definitions.values()
        for definition in defined[-1:]
        if definition.scope in _WIDE and definition.baseid.startswith("tests/")
    ]
    for definition in shared:
        if definition.scope == "session":
            return f"{definition.baseid}:{definition.argname}"
    return item.nodeid.partition("::")[0] if shared else None
