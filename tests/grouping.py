"""Which tests run one after the other in the same process of pytest-xdist: those that share something costly."""

from xdist.scheduler import LoadScopeScheduling

# Folders whose tests share running processes, or what is costly to read: one group each. Some files do without them.
_FOLDERS = ("tests/architecture/", "tests/faults/", "tests/stories/")
_APART = (
    "tests/faults/test_clients.py",
    "tests/faults/test_history.py",
    "tests/faults/test_tills.py",
)
# Files with something costly of their own: one group each.
_FILES = (
    "tests/contract/test_schemathesis.py",
    "tests/faults/test_cluster.py",
    "tests/promotions/drill/test_restore_drill.py",
    "tests/promotions/http/test_connections.py",
    "tests/promotions/local/test_pips.py",
    "tests/promotions/simulation/test_population.py",
    "tests/promotions/test_assurance_corpus.py",
    "tests/promotions/test_encryption.py",
    "tests/promotions/test_telemetry.py",
    "tests/stories/test_brand_manager.py",
    "tests/stories/test_demo_day.py",
    "tests/stories/test_kiosk.py",
    "tests/upgrades/test_rules.py",
)
# The longest tests that share nothing. They begin early, so that no core idles while another finishes.
_LONGEST = (
    "tests/promotions/admin/test_till_signals.py",
    "tests/promotions/test_benchmarks.py",
    "tests/upgrades/test_coupon_holders.py",
)


def name_group(nodeid: str) -> str:
    """Name what a test shares with others; its own id if it shares nothing."""
    path = nodeid.partition("::")[0]
    if path in _FILES:
        return path
    if path not in _APART:
        for folder in _FOLDERS:
            if path.startswith(folder):
                return folder
    return nodeid


def is_long(nodeid: str) -> bool:
    """Whether a test must begin early."""
    return nodeid.startswith(_LONGEST)


class GroupScheduling(LoadScopeScheduling):
    """Give each group to one process, the largest first.

    The groups of pytest-xdist's own `loadgroup` have no effect with pytest 9.2, which ignores the ids that it sets.
    """

    def _split_scope(self, nodeid: str) -> str:
        return name_group(nodeid)
