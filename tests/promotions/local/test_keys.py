"""The secrets of a clone: its own, the same on each start, for its owner only."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from promotions.local.errors import LocalError
from promotions.local.keys import NAMES, clone_secrets, missing_secrets, write_private

DEBUG = {"DEBUG": "1"}


def test_a_clone_keeps_its_secrets_and_another_has_others(tmp_path: Path) -> None:
    first, again = (missing_secrets(tmp_path / "one", DEBUG) for _ in range(2))

    other = missing_secrets(tmp_path / "other", DEBUG)

    assert first == again
    assert set(first) == set(NAMES)
    assert len({*first.values(), *other.values()}) == 6
    assert min(map(len, first.values())) >= 50


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    clone_secrets(tmp_path)
    file = tmp_path / "var" / "secrets.json"
    made = file.stat().st_mode & 0o777

    file.chmod(0o644)
    clone_secrets(tmp_path)

    assert made == 0o600
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["secrets.json"]


def test_first_calls_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        seen = list(threads.map(clone_secrets, [tmp_path] * 16))

    assert all(each == seen[0] for each in seen)


@pytest.mark.parametrize("given", ["CODE_SECRET", "CODE_SECRET_FILE"])
def test_what_is_set_is_left_alone(tmp_path: Path, given: str) -> None:
    assert set(missing_secrets(tmp_path, {**DEBUG, given: "mine"})) == {"SECRET_KEY", "DEVICE_TOKEN_SECRET"}


@pytest.mark.parametrize("environment", [{}, {"DEBUG": "0"}, {"DEBUG": ""}])
def test_a_deployment_gets_none(tmp_path: Path, environment: dict[str, str]) -> None:
    assert missing_secrets(tmp_path, environment) == {}
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"SECRET_KEY": "only"}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "secrets.json").write_text(text, encoding="utf-8")

    with pytest.raises(LocalError, match=r"secrets\.json is damaged: remove it"):
        clone_secrets(tmp_path)


def test_a_private_file_replaces_an_open_one(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text("old", encoding="utf-8")
    file.chmod(0o644)

    write_private(file, "new")

    assert (file.read_text(encoding="utf-8"), file.stat().st_mode & 0o777) == ("new", 0o600)
