"""The kit agrees with itself, the registry of settings and the documents. `check_*` has what needs more programs."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from promotions import conf
from promotions.local.workspaces import ROOT
from promotions.version import VERSION
from tests.patience import wait_for

KIT = ROOT / "deploy"
SCRIPTS = sorted(
    path for folder in ("bin", "build") for path in (KIT / folder).iterdir() if path.suffix == "" and path.is_file()
)
SAMPLE = (KIT / "env.sample").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((KIT / "compose.yaml").read_text(encoding="utf-8"))
UNITS = {path.name: path.read_text(encoding="utf-8") for path in (KIT / "systemd").rglob("doorstep*") if path.is_file()}
COMMON = (KIT / "systemd/doorstep-.service.d/common.conf").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def read_sample() -> dict[str, str]:
    """Settings of the sample, those behind a `#` included."""
    return dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", SAMPLE, re.MULTILINE))


def make_secrets(folder: Path) -> dict[str, str]:
    subprocess.run([KIT / "bin/make-secrets", folder, "postgres", "redis"], check=True, capture_output=True)
    return {path.name: path.read_text(encoding="utf-8").strip() for path in folder.iterdir()}


def test_every_setting_of_the_sample_is_one() -> None:
    known = {*conf.SETTINGS, *(f"{name}_FILE" for name, setting in conf.SETTINGS.items() if setting.is_secret)}

    assert set(read_sample()) - known == set()


def test_every_required_setting_is_in_the_sample() -> None:
    given = {name.removesuffix("_FILE") for name in read_sample()}

    assert {name for name, setting in conf.SETTINGS.items() if setting.is_required} - given == set()


def test_a_commented_line_of_the_sample_shows_the_default() -> None:
    shown = dict(re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", SAMPLE, re.MULTILINE))

    defaults = {name: conf.SETTINGS[name].default for name in shown if name in conf.SETTINGS}

    assert {name: shown[name] for name in defaults} == defaults


def test_the_sample_with_its_secrets_starts_and_binds_this_host_alone(tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path / "secrets")
    names = ("secret_key", "device_token_secret", "code_secret", "database_url", "redis_url")
    given = {
        **dict(re.findall(r"^([A-Z][A-Z0-9_]+)=(.*)$", SAMPLE, re.MULTILINE)),
        **{f"{name.upper()}_FILE": str(tmp_path / "secrets" / name) for name in names},
    }
    code = (
        "from promotions import settings as s; print(s.DEBUG, s.SECURE_HSTS_SECONDS, s.SECURE_HSTS_INCLUDE_SUBDOMAINS,"
        "s.SECURE_HSTS_PRELOAD, s.SILENCED_SYSTEM_CHECKS, s.CODE_SECRET)"
    )

    faults = conf.find_faults(given)
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": os.defpath, **given}, cwd=ROOT, capture_output=True, text=True
    )

    assert faults == []
    assert (
        done.stdout.strip() == f"False 31536000 False False ['security.W005', 'security.W021'] {secrets['code_secret']}"
    )


def test_secrets_are_written_once_long_different_and_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    first = make_secrets(folder)
    (folder / "code_secret").unlink()

    second = make_secrets(folder)

    random = [first[name] for name in first if not name.endswith("_url")]
    assert len(set(random)) == len(random) == 5
    assert all(len(text) == 64 for text in random)
    assert {name for name in first if first[name] != second[name]} == {"code_secret"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    assert first["database_url"] == f"postgis://doorstep:{first['postgres_password']}@postgres:5432/doorstep"


def test_a_folder_of_secrets_that_was_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o755)

    make_secrets(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_git_ignores_what_an_operator_puts_into_the_kit() -> None:
    paths = ["deploy/env", "deploy/secrets/code_secret", "deploy/secrets/database_url"]

    done = subprocess.run(["git", "check-ignore", *paths], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stdout.splitlines() == paths


def test_finishing_opens_the_code_and_no_secret(tmp_path: Path) -> None:
    names = ("manage.py", "promotions/web.py", "deploy/bin/web", "deploy/secrets/code_secret", "var/secrets.json")
    for name in ("geofence/a", "notifications/a", ".venv/bin/python", "deploy/build/finish", *names):
        (tmp_path / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (tmp_path / name).touch(mode=0o600)
    (tmp_path / ".venv/bin/python").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / ".venv/bin/python").chmod(0o755)
    shutil.copy(KIT / "build/finish", tmp_path / "deploy/build/finish")

    subprocess.run([tmp_path / "deploy/build/finish"], check=True)

    def is_open(path: Path) -> bool:
        folders = path.relative_to(tmp_path).parents
        return all((tmp_path / each).stat().st_mode & stat.S_IXOTH for each in folders) and bool(
            path.stat().st_mode & stat.S_IROTH
        )

    assert [is_open(tmp_path / name) for name in names] == [True, True, True, False, False]


def test_compose_and_systemd_hand_over_the_secrets_that_are_made(tmp_path: Path) -> None:
    made = set(make_secrets(tmp_path / "secrets"))
    credentials = dict(re.findall(r"^LoadCredential=(\w+):/etc/doorstep/secrets/(\w+)$", COMMON, re.MULTILINE))
    named = dict(re.findall(r"^Environment=(\w+)_FILE=%d/(\w+)$", COMMON, re.MULTILINE))

    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} == made
    assert (
        set(credentials)
        == set(credentials.values())
        == set(named.values())
        == made
        - {
            "postgres_password",
            "redis_password",
        }
    )
    assert {name.lower() for name in named} == set(named.values())
    assert set(named) - set(conf.SETTINGS) == set()


def read_directives(text: str) -> set[str]:
    return set(re.findall(r"^(\w+)=", text, re.MULTILINE))


def test_no_unit_sets_what_the_common_part_would_overrule() -> None:
    added_up = {"Environment", "After", "Wants"}
    own = {name: read_directives(text) for name, text in UNITS.items() if name.endswith(".service")}

    assert len(own) == 4
    assert {name: found for name, each in own.items() if (found := each & read_directives(COMMON) - added_up)} == {}


def test_migrations_run_to_their_end_and_the_others_for_ever() -> None:
    kinds = {name: dict(re.findall(r"^(Type|Restart)=(\w+)$", text, re.MULTILINE)) for name, text in UNITS.items()}

    assert kinds["doorstep-migrate.service"] == {"Type": "oneshot"}
    assert kinds["doorstep-web@.service"] == {"Type": "notify", "Restart": "always"}
    assert kinds["doorstep-worker@.service"] == kinds["doorstep-beat.service"] == {"Type": "exec", "Restart": "always"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_can_be_run_and_read(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)

    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").splitlines()[1].startswith("# ")


def test_every_script_that_the_kit_names_is_there() -> None:
    texts = [
        *UNITS.values(),
        COMMON,
        (KIT / "Dockerfile").read_text("utf-8"),
        (KIT / "compose.yaml").read_text("utf-8"),
    ]

    named = set(re.findall(r"deploy/((?:bin|build)/[a-z-]+)", "\n".join([*texts, OPERATIONS, SAMPLE])))

    assert len(named) >= 8
    assert {name for name in named if not (KIT / name).is_file()} == set()


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_service_is_limited_restarted_and_watched(name: str) -> None:
    service = COMPOSE["services"][name]
    is_image_checked = service["image"].startswith("doorstep:")  # the image has its own health check

    assert set(service["deploy"]["resources"]["limits"]) >= {"cpus", "memory"}
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert "healthcheck" in service or is_image_checked
    assert service["logging"]["options"]["max-size"]
    assert service.get("read_only") or name == "postgres"
    assert "no-new-privileges:true" in service["security_opt"]


def test_only_the_proxy_is_reachable_from_outside() -> None:
    assert {name for name, service in COMPOSE["services"].items() if "ports" in service} == {"proxy"}


def test_what_counts_into_one_folder_shares_its_process_ids() -> None:
    ours = {
        name: each for name, each in COMPOSE["services"].items() if "SECRET_KEY_FILE" in each.get("environment", {})
    }
    counting = {name for name, each in ours.items() if each["environment"].get("PROMETHEUS_MULTIPROC_DIR") != ""}

    assert counting == {name for name, each in ours.items() if each.get("pid") == "service:processes"}
    assert set(ours) - counting == {"migrate"}
    assert ours["migrate"]["environment"].items() >= ours["web"]["environment"].items()


def test_compose_runs_the_version_of_the_changelog() -> None:
    images = {service["image"] for service in COMPOSE["services"].values()}

    assert {image for image in images if image.startswith("doorstep")} == {f"doorstep:{VERSION}"}


def test_what_docker_copies_is_sent_to_it() -> None:
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (KIT / "Dockerfile").read_text("utf-8"), re.MULTILINE)

    for source in " ".join(copied).split():
        assert any(source == each or source.startswith(f"{each}/") or each.startswith(f"{source}/") for each in allowed)


def test_the_idle_time_of_the_web_process_is_longer_than_the_proxies() -> None:
    script, nginx, caddy = (
        (KIT / name).read_text("utf-8") for name in ("bin/web", "nginx/doorstep.conf", "caddy/Caddyfile")
    )

    ours = int(re.findall(r"--keep-alive-s (\d+)", script)[0])
    theirs = re.findall(r"keepalive_timeout (\d+)s; # shorter", nginx) + re.findall(r"keepalive (\d+)s", caddy)

    assert theirs
    assert all(int(seconds) < ours for seconds in theirs)


def test_operations_name_every_part_of_the_kit() -> None:
    parts = ["Dockerfile", "compose.yaml", "env.sample", "systemd", "nginx/doorstep.conf", "caddy/Caddyfile"]

    assert [part for part in parts if f"../deploy/{part}" not in OPERATIONS] == []


def test_redis_gets_its_password_by_no_argument(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("opensesame\n", encoding="utf-8")
    program = tmp_path / "redis-server"
    program.write_text('#!/bin/sh\necho "$@"\ncat\n', encoding="utf-8")
    program.chmod(0o755)

    done = subprocess.run(
        [KIT / "bin/redis", "--port", "7"],
        env={"PATH": f"{tmp_path}:{os.defpath}", "REDIS_PASSWORD_FILE": str(password)},
        capture_output=True,
        text=True,
        check=True,
    )

    arguments, given = done.stdout.splitlines()
    assert given == "requirepass opensesame"
    assert "opensesame" not in arguments
    assert "--appendfsync always --maxmemory-policy noeviction" in arguments


def test_redis_gets_the_signal_that_ends_its_container(tmp_path: Path) -> None:
    """A shell that stayed in between would ignore SIGTERM as the first process of a container."""
    (tmp_path / "password").write_text("opensesame\n", encoding="utf-8")
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
    program.chmod(0o755)

    process = subprocess.Popen(
        [KIT / "bin/redis"],
        env={"PATH": f"{tmp_path}:{os.defpath}", "REDIS_PASSWORD_FILE": str(tmp_path / "password")},
    )
    try:
        name = Path(f"/proc/{process.pid}/comm")
        wait_for(lambda: name.read_text(encoding="utf-8") == "sleep\n")
    finally:
        process.kill()
        process.wait()


def test_redis_does_not_start_without_its_password(tmp_path: Path) -> None:
    done = subprocess.run(
        [KIT / "bin/redis"],
        env={"PATH": f"{tmp_path}:{os.defpath}", "REDIS_PASSWORD_FILE": str(tmp_path / "missing")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "missing" in done.stderr


def test_manage_hands_settings_and_secrets_to_the_products_user(tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path / "secrets")
    (tmp_path / "env").write_text("# no=setting\nQUIET_HOURS=\nALLOWED_HOSTS=a.example,b.example", encoding="utf-8")
    for name, text in {"id": "echo 0", "setpriv": 'env; echo "$@"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)

    done = subprocess.run(
        [KIT / "bin/manage", "createsuperuser", "--email", "a b"],
        env={"PATH": f"{tmp_path}:{os.defpath}", "DOORSTEP_ETC": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    lines = done.stdout.splitlines()
    assert lines[-1].startswith("--reuid=doorstep --regid=doorstep --init-groups --no-new-privs -- .venv/bin/python")
    assert lines[-1].endswith("manage.py createsuperuser --email a b")
    assert {"ALLOWED_HOSTS=a.example,b.example", "QUIET_HOURS="} <= set(lines)
    assert f"CODE_SECRET={secrets['code_secret']}" in lines
    assert f"DATABASE_URL={secrets['database_url']}" in lines


def test_manage_does_not_start_without_a_secret(tmp_path: Path) -> None:
    make_secrets(tmp_path / "secrets")
    (tmp_path / "secrets/code_secret").unlink()
    (tmp_path / "env").touch()
    for name in ("id", "setpriv"):
        (tmp_path / name).write_text("#!/bin/sh\necho 0\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)

    done = subprocess.run(
        [KIT / "bin/manage", "migrate"],
        env={"PATH": f"{tmp_path}:{os.defpath}", "DOORSTEP_ETC": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "secrets/code_secret" in done.stderr


@pytest.mark.stories
def test_manage_as_another_user_is_manage_py(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n", encoding="utf-8")
    (tmp_path / "id").chmod(0o755)

    done = subprocess.run(
        [KIT / "bin/manage", "--version"],
        env={"PATH": f"{tmp_path}:{os.defpath}", "DEBUG": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("5.2")
