"""Store opening hours as they are configured, `{"mon": [["09:00", "19:00"]], …}`: all faults, then time windows."""

import re
from calendar import day_name
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from itertools import pairwise

from promotions.logic.schedule import ALL_DAY, TimeWindow

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_WALL_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_DAY_MIN = 24 * 60
_WEEK_MIN = 7 * _DAY_MIN


@dataclass(frozen=True, slots=True)
class HoursFault:
    """One fault of opening hours: its place (JSON pointer), its stable code, and a sentence."""

    pointer: str
    code: str
    detail: str


class InvalidHours(ValueError):
    """Opening hours with faults, all of them."""

    def __init__(self, faults: tuple[HoursFault, ...]) -> None:
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class _Span:
    """One pair in minutes after its day's midnight; an end at or before the start lies on the next day."""

    pointer: str
    weekday: int
    start_min: int
    end_min: int

    @property
    def text(self) -> str:
        return f"{self.start_min // 60:02}:{self.start_min % 60:02}-{self.end_min // 60:02}:{self.end_min % 60:02}"

    @property
    def week_start_min(self) -> int:
        return self.weekday * _DAY_MIN + self.start_min

    @property
    def week_end_min(self) -> int:
        over_midnight = _DAY_MIN if self.end_min <= self.start_min else 0
        return self.weekday * _DAY_MIN + self.end_min + over_midnight


def _minute_of(text: object) -> int | None:
    if not isinstance(text, str) or not _WALL_TIME.fullmatch(text):
        return None
    return int(text[:2]) * 60 + int(text[3:])


def _quote(value: object) -> str:
    """A value of any JSON, short."""
    return f"“{str(value)[:20]}”"


def _time_faults(pointer: str, start: object, end: object) -> Iterator[HoursFault]:
    for index, (text, minute) in enumerate(((start, _minute_of(start)), (end, _minute_of(end)))):
        if minute is None:
            yield HoursFault(
                f"{pointer}/{index}", "not_a_time", f"{_quote(text)} is no time; times go from 00:00 to 24:00"
            )
        elif text == "24:00" and index == 0:
            yield HoursFault(
                f"{pointer}/{index}", "not_a_start", "24:00 can only end an opening; a day begins at 00:00"
            )


def _read_pair(pointer: str, weekday: int, pair: object, faults: list[HoursFault]) -> _Span | None:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        faults.append(HoursFault(pointer, "not_a_pair", "must be a pair of opening and closing time"))
        return None
    found = list(_time_faults(pointer, *pair))
    faults.extend(found)
    start_min, end_min = _minute_of(pair[0]), _minute_of(pair[1])
    if found or start_min is None or end_min is None:
        return None
    if start_min == end_min != 0:
        faults.append(
            HoursFault(pointer, "no_length", f"opens and closes at {_quote(pair[0])}; all day is 00:00-24:00")
        )
        return None
    return _Span(pointer, weekday, start_min, end_min or _DAY_MIN)


def _overlap_fault(earlier: _Span, later: _Span) -> HoursFault:
    detail = f"{later.text} begins before {earlier.text} is over"
    if earlier.weekday != later.weekday:
        detail = f"{later.text} begins before {day_name[earlier.weekday]}’s {earlier.text} is over, past midnight"
    return HoursFault(later.pointer, "overlaps", detail)


def _overlap_faults(spans: list[_Span]) -> Iterator[HoursFault]:
    """Neighbours of the week that share time, the last and the first of the week too."""
    ordered = sorted(spans, key=lambda span: (span.week_start_min, span.week_end_min))
    for earlier, later in pairwise(ordered):
        if later.week_start_min < earlier.week_end_min:
            yield _overlap_fault(earlier, later)
    if len(ordered) > 1 and ordered[0].week_start_min + _WEEK_MIN < ordered[-1].week_end_min:
        yield _overlap_fault(ordered[-1], ordered[0])


def _read(raw: object) -> tuple[list[_Span], list[HoursFault]]:
    if not isinstance(raw, dict):
        return [], [HoursFault("", "not_an_object", "must be an object of days")]
    faults: list[HoursFault] = []
    spans: list[_Span] = []
    for day, pairs in raw.items():
        pointer = f"/{str(day).replace('~', '~0').replace('/', '~1')}"
        if day not in DAYS:
            faults.append(HoursFault(pointer, "unknown_day", f"days are {', '.join(DAYS)}"))
        elif not isinstance(pairs, list | tuple):
            faults.append(HoursFault(pointer, "not_a_list", "must be a list of pairs; an empty one is closed"))
        else:
            weekday = DAYS.index(day)
            read = (_read_pair(f"{pointer}/{index}", weekday, pair, faults) for index, pair in enumerate(pairs))
            spans.extend(span for span in read if span)
    return spans, [*faults, *_overlap_faults(spans)]


def find_hours_faults(raw: object) -> tuple[HoursFault, ...]:
    """Yield every fault of opening hours that were decoded from JSON."""
    return tuple(_read(raw)[1])


def parse_hours(raw: object) -> tuple[TimeWindow, ...]:
    """The opening hours as time windows. No day named: always open. A day left out, or empty: closed that day.

    Raises `InvalidHours` with all faults.
    """
    spans, faults = _read(raw)
    if faults:
        raise InvalidHours(tuple(faults))
    if raw == {}:
        return ALL_DAY
    return tuple(
        TimeWindow(frozenset({span.weekday}), _wall_time(span.start_min), _wall_time(span.end_min)) for span in spans
    )


def _wall_time(minute: int) -> time:
    hour, minute = divmod(minute % _DAY_MIN, 60)
    return time(hour, minute)


_DAY_GROUP = re.compile(r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?\s+(?P<pairs>.+)")
_PAIR = re.compile(r"(\d{1,2}:\d{2})\s*[-–]\s*(\d{1,2}:\d{2})")


def read_hours_text(text: str) -> dict[str, list[list[str]]]:
    """Read `mon-fri 09:00-12:30 14:00-19:00; sat 10:00-18:00`, or `always`. A day that is left out is closed.

    Raises `InvalidHours` with all faults.
    """
    if text.strip().lower() == "always":
        return {}
    hours: dict[str, list[list[str]]] = {}
    for group in filter(None, map(str.strip, text.lower().split(";"))):
        days, pairs = _read_group(group)
        for day in days:
            hours.setdefault(day, []).extend(pairs)
    parse_hours(hours)
    return hours


def _read_group(group: str) -> tuple[Sequence[str], list[list[str]]]:
    found = _DAY_GROUP.fullmatch(group)
    first, last = (found["first"], found["last"] or found["first"]) if found else ("", "")
    if found is None or first not in DAYS or last not in DAYS or DAYS.index(last) < DAYS.index(first):
        detail = f"{_quote(group)} does not start with a day such as mon, or days such as mon-fri"
        raise InvalidHours((HoursFault("", "unknown_day", detail),))
    pairs = [[time.zfill(5) for time in pair] for pair in _PAIR.findall(found["pairs"])]
    if not pairs or _PAIR.sub("", found["pairs"]).strip(" ,"):
        detail = f"{_quote(group)} has no times such as 09:00-19:00"
        raise InvalidHours((HoursFault("", "not_a_pair", detail),))
    return DAYS[DAYS.index(first) : DAYS.index(last) + 1], pairs
