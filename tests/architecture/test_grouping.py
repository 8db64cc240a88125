"""What outlives a test is made once for a whole run: all tests that use it run in one process of pytest-xdist."""

from collections import defaultdict

import pytest

from tests.grouping import name_group


def find_shared(item: pytest.Item) -> set[str]:
    """Name the fixtures of our folders that outlive a test, as the places where one process is enough."""
    shared = set()
    for name, definitions in getattr(item, "_fixtureinfo").name2fixturedefs.items():  # noqa: B009
        definition = definitions[-1]
        # Those of the root conftest and of plugins are cheap, or every process needs its own.
        if not definition.baseid.startswith("tests/"):
            continue
        if definition.scope == "session":
            shared.add(f"{definition.baseid} {name}")
        elif definition.scope in {"module", "package"}:
            shared.add(f"{item.nodeid.partition('::')[0]} {name}")
    return shared


def test_tests_that_share_a_fixture_are_in_one_group(request: pytest.FixtureRequest) -> None:
    groups = defaultdict(set)
    for item in request.session.items:
        for place in find_shared(item):
            groups[place].add(name_group(item.nodeid))

    torn = {place: sorted(names) for place, names in groups.items() if len(names) > 1}
    assert not torn, "name these files in tests/grouping.py"


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/stories/test_phone.py::test_a", "tests/stories/"),
        ("tests/stories/test_kiosk.py::test_a[1]", "tests/stories/test_kiosk.py"),
        ("tests/faults/test_tills.py::test_a", "tests/faults/test_tills.py::test_a"),
        ("tests/geofence/test_fences.py::test_a", "tests/geofence/test_fences.py::test_a"),
    ],
)
def test_a_group_is_a_folder_a_file_or_the_test_alone(nodeid: str, group: str) -> None:
    assert name_group(nodeid) == group
