"""Reading settings: every fault at once, secrets from files, what is required, and names with a slip in them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from notifications.transports import REGISTRY
from promotions import conf
from promotions.conf import reading
from promotions.errors import ConfigurationError

SECRETS = ("SECRET_KEY", "DEVICE_TOKEN_SECRET", "CODE_SECRET")
SOUND = {
    **{name: name.lower() * 4 for name in SECRETS},
    "ALLOWED_HOSTS": "shop.example",
    "PUBLIC_BASE_URL": "https://shop.example",
    "DATABASE_URL": "postgis://u:hidden@h/n",
    "REDIS_URL": "redis://:hidden@h/0",
}


def faults_of(**given: str) -> dict[str, str]:
    return {fault.name: fault.sentence for fault in conf.find_faults({**SOUND, **given})}


def test_a_sound_deployment_has_no_faults() -> None:
    assert faults_of() == {}


def test_development_needs_nothing() -> None:
    assert conf.find_faults({"DEBUG": "1"}) == []


def test_what_is_required_and_not_set_is_named_at_once() -> None:
    faults = conf.find_faults({})

    assert {fault.name for fault in faults} == set(SOUND)
    assert all(f"{fault.name} is not set: it must be " in fault.sentence for fault in faults)
    assert {name for name, setting in conf.SETTINGS.items() if setting.is_required} == set(SOUND)


def test_all_faults_are_found_at_once() -> None:
    faults = faults_of(STREAM_SHARDS="0", QUIET_HOURS="abc", FIX_MAX_AGE_S="-5", MAP_TILE_URL="foo", REDIS_URL="x")

    assert set(faults) == {"STREAM_SHARDS", "QUIET_HOURS", "FIX_MAX_AGE_S", "MAP_TILE_URL", "REDIS_URL"}
    assert faults["STREAM_SHARDS"] == "STREAM_SHARDS is '0': it must be a whole number from 1 to 1024."


def test_no_fault_repeats_a_secret() -> None:
    faults = faults_of(DATABASE_URL="postgis://u:hidden@h", REDIS_URL="redis://:hidden@h/x", CODE_SECRET="hidden")

    assert set(faults) == {"DATABASE_URL", "REDIS_URL", "CODE_SECRET"}
    assert not any("hidden" in sentence for sentence in faults.values())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"CODE_SECRET": "short"}, "CODE_SECRET is too short"),
        ({"CODE_SECRET": SOUND["SECRET_KEY"]}, "must differ from each other"),
        ({"SHED_REPORTS_AGE_S": "500"}, "must not decrease in this order"),
        ({"CLOCK_WARP": "1,2,3"}, "with DEBUG=1 only"),
        ({"DEBUG": "1", "CLOCK_WARP": "fast"}, "three or four numbers"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(given: dict[str, str], words: str) -> None:
    (sentence,) = faults_of(**given).values()

    assert words in sentence


def test_short_and_equal_secrets_are_allowed_in_development() -> None:
    assert conf.find_faults({"DEBUG": "1", **dict.fromkeys(SECRETS, "same")}) == []


def test_a_secret_comes_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("  from a file\n", encoding="utf-8")
    monkeypatch.delenv("CODE_SECRET", raising=False)
    monkeypatch.setenv("CODE_SECRET_FILE", str(file))

    assert conf.envtext("CODE_SECRET") == "from a file"


def _missing(folder: Path) -> Path:
    return folder / "nowhere"


def _folder(folder: Path) -> Path:
    return folder


def _empty(folder: Path) -> Path:
    (folder / "empty").touch()
    return folder / "empty"


def _binary(folder: Path) -> Path:
    (folder / "binary").write_bytes(b"\xff\xfe")
    return folder / "binary"


@pytest.mark.parametrize(
    ("make", "words"),
    [(_missing, "No such file"), (_folder, "Is a directory"), (_empty, "is empty"), (_binary, "not UTF-8")],
)
def test_a_file_that_gives_no_secret_is_a_fault(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    path = make(tmp_path)
    given = {name: text for name, text in SOUND.items() if name != "CODE_SECRET"}

    (fault,) = conf.find_faults({**given, "CODE_SECRET_FILE": str(path)})

    assert fault.sentence.startswith(f"CODE_SECRET_FILE names {path}, which ")
    assert words in fault.sentence


def test_a_secret_given_twice_is_a_fault() -> None:
    assert "CODE_SECRET and CODE_SECRET_FILE are both set" in faults_of(CODE_SECRET_FILE="/x")["CODE_SECRET"]


def test_a_place_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    below = str(file / "below")

    faults = faults_of(
        PROMETHEUS_MULTIPROC_DIR=str(file),
        NOTIFICATION_TRANSPORT="file",
        NOTIFICATION_FILE=below,
        GDAL_LIBRARY_PATH=below,
    )

    assert "which is no folder" in faults["PROMETHEUS_MULTIPROC_DIR"]
    assert "in a folder is no folder" in faults["NOTIFICATION_FILE"]
    assert "cannot be read" in faults["GDAL_LIBRARY_PATH"]


def test_the_folder_of_the_figures_is_created(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "figures"

    assert faults_of(PROMETHEUS_MULTIPROC_DIR=str(folder)) == {}
    assert folder.is_dir()


def test_the_file_of_messages_counts_only_with_its_transport(tmp_path: Path) -> None:
    assert faults_of(NOTIFICATION_FILE=str(tmp_path)) == {}
    for routes in ("file", "console,apns=file"):
        faults = faults_of(NOTIFICATION_FILE=str(tmp_path), NOTIFICATION_TRANSPORT=routes)
        assert "is no file" in faults["NOTIFICATION_FILE"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DATABASE_ULR", "DATABASE_URL"),
        ("QUIET_HOUR", "QUIET_HOURS"),
        ("STREAM_SHARD", "STREAM_SHARDS"),
        ("DJANGO_SECRET_KEY", "SECRET_KEY"),
        ("DOORSTEP_DEBUG", "DEBUG"),
        ("CODE_SECRT_FILE", "CODE_SECRET_FILE"),
    ],
)
def test_a_misspelt_setting_is_guessed(name: str, meant: str) -> None:
    assert conf.find_misspelt({name: "x"}) == [f"{name} is no setting: did you mean {meant}?"]


def test_variables_of_others_are_not_taken_for_settings() -> None:
    others = ["HOME", "HOSTNAME", "PATH", "PGHOST", "DOORSTEP_FOLDER", "DJANGO_SETTINGS_MODULE", "CLOCK_WARP", "LANG"]

    assert conf.find_misspelt(dict.fromkeys(others, "x")) == []


def test_every_transport_can_be_chosen_for_each_of_its_kinds() -> None:
    form = conf.SETTINGS["NOTIFICATION_TRANSPORT"].form

    for name, transport in REGISTRY.items():
        assert form.parse(name) == {"*": name}
        assert all(form.parse(f"{kind}={name}") == {kind: name} for kind in transport.kinds)


@pytest.fixture
def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_SHARDS", "none")
    monkeypatch.setattr(reading._Mode, "is_tolerant", False)
    monkeypatch.setattr(reading._Mode, "faults", ())


@pytest.mark.usefixtures("_broken")
def test_a_faulty_setting_is_never_read() -> None:
    with pytest.raises(ConfigurationError, match="STREAM_SHARDS is 'none'"):
        conf.envint("STREAM_SHARDS")
    with pytest.raises(ConfigurationError, match="STREAM_SHARDS is 'none'"):
        conf.require_sound_settings()
    with pytest.raises(SystemExit, match="Doorstep does not start: STREAM_SHARDS is 'none'"):
        conf.refuse_faulty_settings()


@pytest.mark.usefixtures("_broken")
def test_the_doctor_reads_the_default_instead() -> None:
    conf.tolerate_faults()

    conf.require_sound_settings()

    assert conf.envint("STREAM_SHARDS") == 16
    assert [fault.name for fault in conf.list_tolerated()] == ["STREAM_SHARDS"]


def test_a_setting_is_read_as_what_it_is() -> None:
    with pytest.raises(TypeError, match="QUIET_HOURS is declared as Hours"):
        conf.envint("QUIET_HOURS")
