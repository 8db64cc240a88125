"""The import of devices' segments."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from promotions.errors import InvalidInput
from promotions.models import Device
from promotions.services.imports.segments import SegmentsImported, import_segments
from tests import factories

pytestmark = pytest.mark.django_db


def test_a_file_sets_the_segments_of_its_devices() -> None:
    one, other, untouched = (factories.device(segments=["old"]) for _ in range(3))

    done = import_segments(text=f"device_id;segments\n{one.pk};gold  staff\n{other.pk};-\n{uuid4()};gold\n")

    assert done == SegmentsImported(devices=2, unknown=1)
    found = dict(Device.objects.values_list("pk", "segments"))
    assert [found[each.pk] for each in (one, other, untouched)] == [["gold", "staff"], [], ["old"]]


def test_every_fault_is_found_and_no_device_changes() -> None:
    device = factories.device()
    text = f"device_id,segments\n{device.pk},gold\nx,gold\n{device.pk},Gold\n{uuid4()},\n"

    with pytest.raises(InvalidInput) as refused:
        import_segments(text=text)

    assert {(fault.pointer, fault.code) for fault in refused.value.faults} == {
        ("/2/device_id", "duplicate_value"),
        ("/4/device_id", "duplicate_value"),
        ("/3/device_id", "invalid_format"),
        ("/4/segments", "invalid_format"),
        ("/5/segments", "required"),
    }
    assert Device.objects.get().segments == []


def test_the_command_checks_and_imports_a_file(tmp_path: Path, capsys: Any) -> None:
    device, file = factories.device(), tmp_path / "segments.csv"
    file.write_text(f"device_id,segments\n{device.pk},gold\n", encoding="utf-8")

    call_command("import_segments", file, dry_run=True)
    after_dry_run = Device.objects.get().segments
    call_command("import_segments", file)

    assert capsys.readouterr().out.splitlines() == [
        "Dry run: 1 set, 0 unknown.",
        "1 set, 0 unknown.",
    ]
    assert (after_dry_run, Device.objects.get().segments) == ([], ["gold"])
    file.write_text("device_id,segments\nx,gold\n", encoding="utf-8")
    with pytest.raises(CommandError, match="line 2, device_id: “x” is no device id"):
        call_command("import_segments", file)
