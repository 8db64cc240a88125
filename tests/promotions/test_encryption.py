"""Addresses that ask for TLS get it, and nothing in clear: a real PostgreSQL and a real Redis with certificates."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import kombu
import psycopg
import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.gis.db.backends.postgis.base import DatabaseWrapper
from django.db import OperationalError, connection

from promotions import conf, logins, stream
from promotions.conf.addresses import verify_broker
from promotions.local import postgres
from promotions.local.workspaces import Workspace
from promotions.logins import Refused
from promotions.settings import _database
from promotions.stream import clients
from tests.patience import PATIENCE_S, wait_for
from tests.ports import keep_port, number_of

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with key.pem and cert.pem for 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(tz=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


@pytest.fixture(scope="module")
def encrypted_postgresql(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a private PostgreSQL that offers TLS."""
    place = Workspace(tmp_path_factory.mktemp("services"), "tls")
    place.create()
    cluster = postgres.start_cluster(place, durable=False)
    url = cluster.url.replace("postgis:", "postgresql:")
    with psycopg.connect(url, autocommit=True) as owner:
        row: Any = owner.execute("SHOW data_directory").fetchone()
        data = Path(row[0])
        account = data.stat()
        for file in ("cert.pem", "key.pem"):
            (data / file).write_bytes((certificate / file).read_bytes())
            (data / file).chmod(0o600)
            os.chown(data / file, account.st_uid, account.st_gid)
        owner.execute("ALTER SYSTEM SET ssl_cert_file = 'cert.pem'")
        owner.execute("ALTER SYSTEM SET ssl_key_file = 'key.pem'")
        owner.execute("ALTER SYSTEM SET ssl = on")
        owner.execute("SELECT pg_reload_conf()")
    try:
        wait_for(lambda: offers_tls(url))
        yield cluster.url
    finally:
        postgres.stop_cluster(cluster.child)


def offers_tls(url: str) -> bool:
    with psycopg.connect(url) as session:
        return session.execute("SHOW ssl").fetchone() == ("on",)


def is_encrypted(url: str) -> bool:
    """Whether Django's connection at this address is: asked of the server."""
    wrapper = DatabaseWrapper({**connection.settings_dict, **_database(url)}, alias="default")
    try:
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool(cursor.fetchone()[0])
    finally:
        wrapper.close()


def test_the_mode_of_the_address_decides_whether_postgresql_is_asked_in_clear(
    encrypted_postgresql: str, certificate: Path
) -> None:
    verified = f"{encrypted_postgresql}?sslmode=verify-full&sslrootcert={certificate}/cert.pem"

    assert is_encrypted(f"{encrypted_postgresql}?sslmode=require")
    assert is_encrypted(verified)
    assert not is_encrypted(f"{encrypted_postgresql}?sslmode=disable")


def test_an_untrusted_certificate_is_refused(encrypted_postgresql: str, tmp_path: Path) -> None:
    url = f"{encrypted_postgresql}?sslmode=verify-full&sslrootcert={tmp_path}/none.pem"

    with pytest.raises(OperationalError) as caught:
        is_encrypted(url)

    assert isinstance(logins.explain_postgresql(caught.value), Refused)
    (fault,) = conf.find_faults({"DEBUG": "1", "DATABASE_URL": url})
    assert f"{tmp_path}/none.pem as sslrootcert, which cannot be read" in fault.sentence


def test_a_postgresql_without_tls_is_never_asked_in_clear_when_tls_is_required() -> None:
    parts = connection.settings_dict
    url = f"postgis://{parts['USER']}:{parts['PASSWORD']}@{parts['HOST']}:{parts['PORT']}/postgres"

    with pytest.raises(OperationalError, match="does not support SSL, but SSL was required"):
        is_encrypted(f"{url}?sslmode=require")

    assert not is_encrypted(url)


def test_other_parameters_reach_the_server(encrypted_postgresql: str) -> None:
    url = f"{encrypted_postgresql}?application_name=till%20one&options=-c%20statement_timeout%3D1234"
    wrapper = DatabaseWrapper({**connection.settings_dict, **_database(url)}, alias="default")
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name'), current_setting('statement_timeout')")
        found = cursor.fetchone()
    wrapper.close()

    assert found == ("till one", "1234ms")


@pytest.fixture(scope="module")
def encrypted_redis(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a private Redis that speaks TLS only, with a password that must be percent-encoded."""
    kept = keep_port()
    port = number_of(kept)
    options = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", "--requirepass", "p@/:x"]
    options += ["--tls-cert-file", str(certificate / "cert.pem"), "--tls-key-file", str(certificate / "key.pem")]
    options += ["--tls-ca-cert-file", str(certificate / "cert.pem"), "--appendonly", "yes", "--save", ""]
    process = subprocess.Popen(
        ["redis-server", *options, "--dir", str(tmp_path_factory.mktemp("redis"))], stdout=subprocess.DEVNULL
    )
    url = f"rediss://:p%40%2F%3Ax@127.0.0.1:{port}/0"
    with redis.Redis.from_url(f"{url}?ssl_ca_certs={certificate}/cert.pem") as client:
        wait_for(lambda: answers(client))
    yield url
    process.terminate()
    process.wait(timeout=PATIENCE_S)
    kept.close()


def answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake may take long on a busy machine."""
    for name in ("socket_timeout", "socket_connect_timeout"):
        monkeypatch.setitem(clients._OPTIONS, name, PATIENCE_S)


def ping_broker(url: str) -> None:
    """As Celery reaches its broker."""
    with kombu.Connection(verify_broker(url), transport_options={"socket_connect_timeout": PATIENCE_S}) as broker:
        broker.default_channel.client.ping()


def test_a_trusted_redis_is_asked_by_tls(encrypted_redis: str, certificate: Path) -> None:
    url = f"{encrypted_redis}?ssl_ca_certs={certificate}/cert.pem"

    assert stream.client_at(url).ping()
    ping_broker(url)


def test_an_untrusted_redis_gets_no_password(encrypted_redis: str) -> None:
    with pytest.raises(redis.ConnectionError) as caught:
        stream.client_at(encrypted_redis).ping()
    with pytest.raises(kombu.exceptions.OperationalError, match="certificate verify failed"):
        ping_broker(encrypted_redis)

    assert isinstance(logins.explain_redis(caught.value, setting="REDIS_URL"), Refused)


def test_without_our_parameter_the_broker_would_trust_any_certificate(encrypted_redis: str) -> None:
    with kombu.Connection(encrypted_redis) as broker:
        assert broker.default_channel.client.ping()


def test_a_check_that_is_turned_off_stays_off(encrypted_redis: str) -> None:
    url = f"{encrypted_redis}?ssl_cert_reqs=none"

    assert stream.client_at(url).ping()
    assert verify_broker(url) == url
    ping_broker(url)


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://h/0", "redis://h/0"),
        ("rediss://h/0", "rediss://h/0?ssl_cert_reqs=required"),
        ("rediss://h/0?ssl_ca_certs=/x", "rediss://h/0?ssl_ca_certs=/x&ssl_cert_reqs=required"),
    ],
)
def test_the_brokers_address_requires_certificates(url: str, broker: str) -> None:
    assert verify_broker(url) == broker
