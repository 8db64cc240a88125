"""Addresses of PostgreSQL and Redis: each part arrives decoded, and what is not honoured is refused by name."""

import re

import pytest

from promotions.conf.addresses import PostgresqlAddress, RedisAddress, parse_postgis_url, parse_redis_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgis://u:p@h:1/n", PostgresqlAddress("n", "u", "p", "h", "1", {})),
        ("postgres://h/n", PostgresqlAddress("n", "", "", "h", "5432", {})),
        ("postgresql://u:p%40%2F%3A%23@h/n%2Fm", PostgresqlAddress("n/m", "u", "p@/:#", "h", "5432", {})),
        ("postgis://u:p@x@h/n", PostgresqlAddress("n", "u", "p@x", "h", "5432", {})),
        ("postgis://[2001:db8::1]:6000/n", PostgresqlAddress("n", "", "", "2001:db8::1", "6000", {})),
        ("postgis://a:1,b/n", PostgresqlAddress("n", "", "", "a,b", "1,5432", {})),
        ("postgis://%2Frun%2Fpg/n", PostgresqlAddress("n", "", "", "/run/pg", "5432", {})),
        ("postgis:///n?host=/run/pg&port=6000", PostgresqlAddress("n", "", "", "/run/pg", "6000", {})),
        ("postgis:///n", PostgresqlAddress("n", "", "", "", "5432", {})),
        (
            "postgis://h/n?sslmode=require&options=-c%20jit%3Doff&connect_timeout=3",
            PostgresqlAddress(
                "n", "", "", "h", "5432", {"sslmode": "require", "options": "-c jit=off", "connect_timeout": "3"}
            ),
        ),
    ],
)
def test_an_address_of_postgresql_is_read_part_by_part(url: str, address: PostgresqlAddress) -> None:
    assert parse_postgis_url(url) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("h", "postgis://"),
        ("postgis://h", "names no database"),
        ("postgis://h/", "names no database"),
        ("postgis://h/a/b", "slash"),
        ("postgis://h:0/n", "port"),
        ("postgis://h:70000/n", "port"),
        ("postgis://u:p/w@h/n", "/ is %2F"),
        ("postgis://u:p?w@h/n", "%3F"),
        ("postgis://u:p w@h/n", "%20"),
        ("postgis://u:p#w@h/n", "%23"),
        ("postgis://::1/n", "brackets"),
        ("postgis://[::1/n", "brackets"),
        ("postgis://h/n?sslmode", "name=value"),
        ("postgis://h/n?sslmod=require", "'sslmod' is not honoured"),
        ("postgis://h/n?service=x", "'service' is not honoured"),
        ("postgis://h/n?sslmode=requre", "must be one of disable, allow"),
        ("postgis://h/n?sslmode=require&sslmode=disable", "comes twice"),
        ("postgis://h/n?connect_timeout=soon", "'connect_timeout' is not readable"),
        ("postgis://h/n?host=/run", "a host twice"),
        ("postgis:///n?port=70000", "port"),
    ],
)
def test_an_address_of_postgresql_that_cannot_be_used_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_postgis_url(url)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", RedisAddress(False, False, "", "", "h", 6379, 0, {})),
        ("redis://:p%40%2F@h:1/3", RedisAddress(False, False, "", "p@/", "h", 1, 3, {})),
        ("redis://u:p@[::1]:1/0", RedisAddress(False, False, "u", "p", "::1", 1, 0, {})),
        (
            "rediss://h/0?ssl_ca_certs=/etc/ca.pem",
            RedisAddress(True, False, "", "", "h", 6379, 0, {"ssl_ca_certs": "/etc/ca.pem"}),
        ),
        ("redis+cluster://h:7000", RedisAddress(False, True, "", "", "h", 7000, 0, {})),
    ],
)
def test_an_address_of_redis_is_read_part_by_part(url: str, address: RedisAddress) -> None:
    assert parse_redis_url(url, may_be_cluster=True) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://h", "redis://"),
        ("unix:///run/redis.sock", "redis://"),
        ("redis://", "names no host"),
        ("redis://h/abc", "no whole number"),
        ("redis://h:port/0", "port"),
        ("redis://a,b/0", "several hosts"),
        ("redis://h/0?socket_timeout=1", "'socket_timeout' is not honoured"),
        ("redis://h/0?ssl_ca_certs=/x", "'ssl_ca_certs' is not honoured"),
        ("rediss://h/0?ssl_cert_reqs=CERT_NONE", "none, optional, required"),
        ("redis+cluster://h/1", "database 0"),
    ],
)
def test_an_address_of_redis_that_cannot_be_used_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_redis_url(url, may_be_cluster=True)


def test_a_reason_never_repeats_a_password() -> None:
    for url in ("postgis://u:pa/ss@h/n", "redis://u:pa/ss@h/n", "postgis://u:pa[ss@h/n", "redis://:pa?ss@h"):
        parse = parse_redis_url if url.startswith("redis") else parse_postgis_url
        with pytest.raises(ValueError, match="^(?!.*pa[^sr])"):
            parse(url)
