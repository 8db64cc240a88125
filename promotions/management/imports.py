"""Common code of the import commands: read the file's text, and raise all faults as one error."""

import codecs
from pathlib import Path

from django.core.management.base import CommandError

from promotions.errors import InvalidInput

MAX_BYTES = 5 * 1024 * 1024
_SHOWN = 50


def read_file(path: Path) -> str:
    """Return the text of a file in UTF-8, or in Windows-1252 as older Excel writes it. Errors: CommandError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CommandError(f"{path} is larger than {MAX_BYTES // 1024 // 1024} MB. Split it.")
        content = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    # The mark says that the text is UTF-8, so bytes that are not UTF-8 are damage.
    encodings = ("utf-8",) if content.startswith(codecs.BOM_UTF8) else ("utf-8", "cp1252")
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
    raise CommandError(f"{path}, line {line}: this is neither UTF-8 nor Windows-1252. Save it as “CSV UTF-8”.")


def report_faults(error: InvalidInput) -> CommandError:
    """Return an error that lists the faults by line and column."""
    lines = [f"  {_locate(fault.pointer)}{fault.detail}" for fault in error.faults[:_SHOWN]]
    if len(error.faults) > _SHOWN:
        lines.append(f"  and {len(error.faults) - _SHOWN} more")
    return CommandError("\n".join([f"Nothing was imported. {error.detail}", *lines]))


def _locate(pointer: str) -> str:
    number, _, column = pointer.removeprefix("/").partition("/")
    if not number:
        return ""
    return f"line {number}, {column}: " if column else f"line {number}: "
