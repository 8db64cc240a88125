"""The set-up: what it installs, its messages if it cannot, and its speed the second time."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from promotions.local import packages, postgres, redis, virtualenv
from promotions.local.errors import LocalError
from promotions.local.workspaces import ROOT

GIVEN = {"DATABASE_URL": "postgis://someone@db.example/shop", "REDIS_URL": "redis://cache.example/3"}


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with Python and nothing else."""
    monkeypatch.setattr(postgres, "installations", list)
    monkeypatch.setattr(redis, "find_program", lambda: None)
    monkeypatch.setattr(packages, "find_browser", lambda: None)
    monkeypatch.setattr(packages, "FONT_FOLDERS", ())


def write_program(folder: Path, name: str, text: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    program.chmod(0o755)


@pytest.mark.usefixtures("bare_machine")
def test_a_bare_machine_misses_both_servers_and_only_when_asked_a_browser() -> None:
    plain = packages.find_missing(with_chromium=False, environment={})
    with_browser = packages.find_missing(with_chromium=True, environment={})

    assert [one.starts for one in plain] == ["postgresql", "redis"]
    assert [one.package for one in with_browser] == [None, "redis-server", "chromium", "fonts-dejavu-core"]


def test_the_load_generator_is_missed_only_by_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)

    plain = packages.find_missing(with_chromium=False, environment=GIVEN)
    with_wrk = packages.find_missing(with_chromium=False, with_wrk=True, environment=GIVEN)

    assert [one.package for one in plain] == []
    assert [one.package for one in with_wrk] == ["wrk"]


def test_proxies_are_missed_only_by_the_deployment_kit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name, path=None: None)

    plain = packages.find_missing(with_chromium=False, environment=GIVEN)
    with_proxies = packages.find_missing(with_chromium=False, with_proxies=True, environment=GIVEN)

    assert [one.package for one in plain] == []
    assert [one.package for one in with_proxies] == ["nginx-light", "caddy", "systemd", "openssl"]
    assert [one.starts for one in with_proxies if one.starts] == ["nginx", "caddy"]


def test_npm_is_missed_only_by_those_who_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)

    plain = packages.find_missing(with_chromium=False, environment=GIVEN)
    with_npm = packages.find_missing(with_chromium=False, with_npm=True, environment=GIVEN)

    assert [one.package for one in plain] == []
    assert [one.package for one in with_npm] == ["npm"]


@pytest.mark.usefixtures("bare_machine")
def test_servers_that_are_given_are_not_missed() -> None:
    missing = packages.find_missing(with_chromium=False, environment=GIVEN)

    assert missing == []


@pytest.mark.usefixtures("bare_machine")
def test_without_apt_the_sentence_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)

    with pytest.raises(LocalError, match=r"Missing: PostgreSQL 15 or newer with PostGIS, Redis\. Install it"):
        packages.install_missing(with_chromium=False, environment={})


@pytest.mark.usefixtures("bare_machine")
def test_missing_root_and_sudo_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", {"apt-get": "/usr/bin/apt-get"}.get)

    with pytest.raises(LocalError, match="this user is not root and there is no sudo"):
        packages.install_missing(with_chromium=False, environment={})


def test_packages_are_installed_without_starting_their_servers(tmp_path: Path) -> None:
    system, programs = tmp_path / "system", tmp_path / "programs"
    (system / "usr/sbin").mkdir(parents=True)
    programs.mkdir()
    policy = system / "usr/sbin/policy-rc.d"
    ask = "; ".join(
        f'"{policy}" {unit} start; echo {unit} $?' for unit in ("postgresql@15-main", "redis-server", "cron")
    )
    write_program(programs, "apt-get", f'echo "$@"; {ask}; cat "{system}"/etc/postgresql-common/createcluster.d/*')

    done = subprocess.run(
        ["sh", packages.INSTALL_SCRIPT, "postgresql redis", "postgresql-15-postgis-3"],
        env={"PATH": f"{programs}:{os.defpath}", "DOORSTEP_SYSTEM": str(system)},
        capture_output=True,
        text=True,
        check=True,
    )

    lines = done.stdout.splitlines()
    assert lines[0].endswith("postgresql-15-postgis-3")
    assert lines[1:4] == ["postgresql@15-main 101", "redis-server 101", "cron 0"]
    assert lines[-1] == "create_main_cluster = false"
    assert [path for path in system.rglob("*") if path.is_file()] == []


def test_an_administrators_policy_stays_untouched(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    policy = tmp_path / "usr/sbin/policy-rc.d"
    policy.parent.mkdir(parents=True)
    policy.write_text("#!/bin/sh\nexit 104\n", encoding="utf-8")
    write_program(programs, "apt-get", "exit 100")

    done = subprocess.run(
        ["sh", packages.INSTALL_SCRIPT, "redis", "redis-server"],
        env={"PATH": f"{programs}:{os.defpath}", "DOORSTEP_SYSTEM": str(tmp_path)},
        check=False,
    )

    assert done.returncode == 100
    assert policy.read_text(encoding="utf-8") == "#!/bin/sh\nexit 104\n"


def test_the_virtualenv_is_filled_once_and_again_when_requirements_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    folder = tmp_path / "requirements"
    folder.mkdir()
    for name in ("base", "demo", "test"):
        (folder / f"{name}.txt").write_text("", encoding="utf-8")

    def prepare(*lists: str) -> list[str]:
        virtualenv.prepare(tmp_path, lists=lists)
        output = capsys.readouterr().err.splitlines()
        return [line for line in output if not line.startswith("    ")]  # without the elapsed seconds

    first = prepare("base", "demo")
    second = prepare("base", "demo")
    with_tests = prepare("base", "demo", "test")
    (folder / "base.txt").write_text("# changed\n", encoding="utf-8")
    changed = prepare("base", "demo")

    of_list = "Installing the Python packages of requirements/{}.txt.".format
    assert first == ["Creating .venv.", of_list("base"), of_list("demo")]
    assert second == []
    assert with_tests == [of_list("test")]
    assert changed == [of_list("base")]
    assert not (tmp_path / "elsewhere").exists()


def test_a_linked_virtualenv_is_never_cleared(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "bin").mkdir(parents=True)
    (shared / "precious").touch()
    (tmp_path / "clone" / "requirements").mkdir(parents=True)
    (tmp_path / "clone" / ".venv").symlink_to(shared)

    with pytest.raises(LocalError, match="is a link to something that is no working Python"):
        virtualenv.prepare(tmp_path / "clone")

    assert (shared / "precious").exists()


def test_pip_keeps_addresses_and_loses_what_would_break_it() -> None:
    given = {"PIP_INDEX_URL": "https://index.example", "PIP_TARGET": "/x", "PIP_NO_DEPS": "1", "PYTHONPATH": "/y"}

    environment = virtualenv.environment({**given, "HOME": "/home/ada"})

    assert environment == {
        "PIP_INDEX_URL": "https://index.example",
        "HOME": "/home/ada",
        "PIP_USER": "0",
        "PIP_CONSTRAINT": os.devnull,
        "PIP_ROOT_USER_ACTION": "ignore",
    }


def test_a_too_old_python_is_explained_at_the_start(tmp_path: Path) -> None:
    write_program(tmp_path, "python3", "exit 1")

    done = subprocess.run(
        ["/bin/sh", ROOT / "promotions/local/start.sh", "setup"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("Doorstep needs Python 3.11 or newer and found none")


def test_the_first_set_up_is_announced_before_anything_else(tmp_path: Path) -> None:
    write_program(tmp_path, "python3", '[ "$1" = -c ] || echo "ran $*" >&2')

    def start(command: str) -> list[str]:
        argv = ["/bin/sh", ROOT / "promotions/local/start.sh", command]
        done = subprocess.run(
            argv, cwd=tmp_path, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True
        )
        return done.stderr.splitlines()

    first, services = start("setup"), start("services")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "doorstep-stamp").touch()
    later = start("setup")

    assert first == ["Setting up Doorstep: some minutes, once.", "ran -m promotions.local setup"]
    assert services == ["ran -m promotions.local services"]
    assert later == ["ran -m promotions.local setup"]


def test_make_help_lists_every_public_command_from_any_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "-C", ROOT], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    listed = {line.split()[1] for line in done.stdout.splitlines()}
    assert listed >= {"demo", "test", "run", "check", "bench", "faults", "screenshots", "openapi", "help", "setup"}


def test_the_next_django_names_the_python_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(tmp_path, "python3", "exit 1")
    monkeypatch.setattr(virtualenv.sys, "executable", str(tmp_path / "python3"))
    monkeypatch.setattr(shutil, "which", lambda _name: None)

    with pytest.raises(
        LocalError, match=r"The next Django needs Python 3\.12 or newer with its venv module; this machine"
    ):
        virtualenv.prepare_for_next_django(tmp_path)

    assert not (tmp_path / ".venv-next").exists()


def test_the_next_django_takes_the_first_python_that_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_program(tmp_path, "python3", "exit 1")
    write_program(tmp_path, "python3.13", '[ "$1" = -c ] || exit 3')
    monkeypatch.setattr(virtualenv.sys, "executable", str(tmp_path / "python3"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")

    with pytest.raises(LocalError, match=r"Failed with exit code 3: .*/python3\.13 -m venv --clear .*/\.venv-next"):
        virtualenv.prepare_for_next_django(tmp_path)

    assert capsys.readouterr().err.startswith("Creating .venv-next.\n")


@pytest.mark.parametrize(("major", "is_usable"), [(14, False), (15, True), (17, True), (18, True)])
def test_the_oldest_postgresql_is_15(
    major: int, is_usable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / str(major) / "bin"
    programs.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        write_program(programs, name, "exit 0")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(postgres, "DEBIAN_PROGRAMS", tmp_path)

    assert [one.major for one in postgres.installations()] == ([major] if is_usable else [])


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("postgresql-15-postgis-3", "postgresql-15-postgis-3"),
        ("postgresql-17-postgis-3", "postgresql-17-postgis-3"),
        ("postgresql-14-postgis-3 postgresql-17-postgis-3 postgresql-17-pgaudit", "postgresql-17-postgis-3"),
    ],
)
def test_the_newest_postgis_of_the_release_is_chosen(
    offered: str, chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(tmp_path, "apt-cache", f"printf '%s\\n' {offered}")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres, "installations", list)

    assert packages._postgis_package() == chosen


def test_a_release_with_only_an_old_postgis_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(tmp_path, "apt-cache", "echo postgresql-14-postgis-3")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LocalError, match=r"This release offers no PostGIS for PostgreSQL 15 or newer\."):
        packages._postgis_package()


def test_data_of_an_unsupported_postgresql_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "PG_VERSION").write_text("14\n", encoding="utf-8")
    monkeypatch.setattr(postgres, "usable_installation", lambda: postgres.Installation(17, tmp_path))
    monkeypatch.setattr(postgres, "installations", lambda: [postgres.Installation(17, tmp_path)])

    with pytest.raises(
        LocalError, match=r"made by PostgreSQL 14, and the oldest supported is 15: remove that folder\."
    ):
        postgres._installation_for(tmp_path)
