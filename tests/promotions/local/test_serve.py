"""What `make run` decides before anything starts: the address, and the settings of its processes."""

import pytest

from promotions.local import ports
from promotions.local.serve import describe_exposure, run_environment


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_only_this_machine_reaches_a_loopback_address(host: str) -> None:
    assert describe_exposure(host) is None
    assert "ALLOWED_HOSTS" not in run_environment({}, host=host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.20", "fe80::1", "laptop.example"])
def test_the_network_reaches_any_other_under_any_name(host: str) -> None:
    warning = describe_exposure(host) or ""

    assert warning.startswith(f"Warning: HOST={host} makes this demo reachable for every device on your network.")
    assert "DEBUG mode" in warning
    assert run_environment({}, host=host)["ALLOWED_HOSTS"] == "*"


def test_messages_go_at_any_hour_unless_the_caller_sets_hours() -> None:
    assert run_environment({})["QUIET_HOURS"] == ""
    mine = {"QUIET_HOURS": "22:00-07:00", "ALLOWED_HOSTS": "laptop.example"}
    assert run_environment(mine, host="0.0.0.0") == mine


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("fe80::1", "http://[fe80::1]:8000"),
        ("laptop.example", "http://laptop.example:8000"),
    ],
)
def test_the_url_is_one_that_this_machine_can_open(host: str, url: str) -> None:
    assert ports.url_of(host, 8000) == url


def test_an_address_of_another_machine_is_never_free() -> None:
    assert not ports.is_free(0, host="2001:db8::1")
