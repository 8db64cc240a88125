"""Clients that write down what they ask and hear: phones on designed walks, phones in a shop, a till.

Real HTTP on loopback, a thread per group, bounded in number. Like a phone, a client keeps its fixes until they are
acknowledged and sends them again; sometimes it gives up, and then the outcome is unknown.
"""

import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import Any
from uuid import uuid4

from notifications.models import PushAddress
from promotions.models import Device
from promotions.services.till.staff_devices import create_enrolment
from promotions.tokens import issue_access_token
from tests.faults.history import CallResult, History
from tests.faults.stage import Stage

CONSENTS = ["geo_match", "messages", "fraud_checks", "statistics"]
TIMEOUT_S = 10.0
# Between two fixes of a walk, in the phone's own time.
STEP_MS = 60_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One request as the client saw it. Status 0: no answer came."""

    at_s: float
    took_s: float
    status: int
    code: str = ""
    # The value in a refusal; 0 without one.
    retry_after_s: int = 0
    # 2: the server had closed the connection that the client kept, and the client asked again.
    tries: int = 1


class Line:
    """A client's connection: kept open, opened again after any trouble. Every request leaves a sample.

    With `is_fresh` each request opens its own connection.
    """

    def __init__(self, port: int, samples: list[Sample], *, is_fresh: bool = False) -> None:
        self._port, self._samples, self._is_fresh = port, samples, is_fresh
        self._connection: HTTPConnection | None = None
        self._retry_after_s = 0

    def send(self, method: str, path: str, body: Any, token: str) -> tuple[int, Any]:
        """Status and decoded body; (0, None) when no answer came."""
        started, tries = time.monotonic(), 1
        is_fresh = self._connection is None
        status, answer = self._try(method, path, body, token)
        if status == 0 and not is_fresh:
            # The server may close a connection that was idle; like any HTTP client, ask once more on a new one.
            status, answer = self._try(method, path, body, token)
            tries += 1
        code = answer.get("code", "") if isinstance(answer, dict) and status >= 400 else ""
        self._samples.append(Sample(started, time.monotonic() - started, status, code, self._retry_after_s, tries))
        return status, answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try(self, method: str, path: str, body: Any, token: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._retry_after_s = 0
        try:
            if self._connection is None:
                self._connection = HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
            self._connection.request(method, path, None if method == "GET" else json.dumps(body), headers)
            response = self._connection.getresponse()
            raw = response.read()
            self._retry_after_s = int(response.headers.get("Retry-After", 0))
            if response.will_close or self._is_fresh:
                self.close()
            return response.status, json.loads(raw)
        except (OSError, HTTPException, ValueError):
            self.close()
            return 0, None


@dataclass(slots=True)
class Walker:
    """A phone on a designed walk: each fix in the next store, a minute after the one before."""

    device_id: str
    token: str
    started_ms: int
    first_store: int
    steps: int = 0

    def fixes(self, world_walk: Sequence[tuple[float, float]], steps: Sequence[int]) -> list[dict[str, Any]]:
        """These steps as the API takes them."""
        places = [world_walk[(self.first_store + step) % len(world_walk)] for step in steps]
        return [
            {
                "latitude": latitude_deg,
                "longitude": longitude_deg,
                "horizontal_accuracy_m": 5,
                "fix_time": datetime.fromtimestamp(self.time_ms(step) / 1000, tz=UTC).isoformat(),
            }
            for step, (latitude_deg, longitude_deg) in zip(steps, places, strict=True)
        ]

    def time_ms(self, step: int) -> int:
        return self.started_ms + step * STEP_MS


def register(count: int) -> list[tuple[str, str]]:
    """Consenting, reachable devices with their access tokens, written to the database at once."""
    now = datetime.now(tz=UTC)
    devices = [Device(platform="android", consents=CONSENTS, registered_at=now) for _ in range(count)]
    Device.objects.bulk_create(devices)
    PushAddress.objects.bulk_create(
        [PushAddress(device_id=one.id, kind="console", address=f"phone-{one.id}", registered_at=now) for one in devices]
    )
    return [(str(one.id), issue_access_token(device_id=one.id, consents=one.consents, now=now)) for one in devices]


def make_walkers(count: int, *, steps: int) -> list[Walker]:
    """Phones with a walk of the given number of steps that ends shortly before now."""
    started_ms = round(time.time() * 1000) - (steps + 1) * STEP_MS
    return [
        Walker(device_id, token, started_ms + number, number)
        for number, (device_id, token) in enumerate(register(count))
    ]


@dataclass
class Crowd:
    """All clients of one test. `with crowd.running():` the walkers walk, shoppers shop, the till redeems."""

    stage: Stage
    history: History
    walkers: list[Walker]
    steps: int
    shoppers: list[tuple[str, str]] = field(default_factory=list)
    till: str = ""
    coupons: list[str] = field(default_factory=list)
    # Where to send; None: to the stage itself.
    port: int | None = None
    threads: int = 4
    # How many of these open a connection for each request, as one of two tills then does.
    fresh_threads: int = 0
    pause_s: float = 0.0
    shop_pause_s: float = 0.2
    redeem_pause_s: float = 0.2
    # Out of a hundred fixes that were not acknowledged, how many are given up.
    give_up_percent: int = 5
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._hands: list[threading.Thread] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start every client, and in the end let each finish what it is at."""
        work = [("walk", self._walk, self.walkers[number :: self.threads]) for number in range(self.threads)]
        if self.shoppers:
            work.append(("shop", self._shop, self.shoppers))
        tills = 2 if self.fresh_threads else 1
        work += [("till", self._redeem, part) for number in range(tills) if (part := self.coupons[number::tills])]
        started = Counter[str]()
        for kind, target, given in work:
            samples = self.samples.setdefault(kind, [])
            started[kind] += 1
            is_fresh = started[kind] <= {"walk": self.fresh_threads, "till": tills - 1}.get(kind, 0)
            arguments = (target, given, samples, is_fresh)
            self._hands.append(threading.Thread(target=self._hold_line, args=arguments, name=kind))
        for hand in self._hands:
            hand.start()
        try:
            yield
        finally:
            self._stop.set()
            for hand in self._hands:
                hand.join(60)
            assert not any(hand.is_alive() for hand in self._hands)

    def _hold_line(self, target: Any, given: Any, samples: list[Sample], is_fresh: bool) -> None:
        line = Line(self.port or self.stage.port, samples, is_fresh=is_fresh)
        try:
            target(line, given)
        finally:
            line.close()

    def _walk(self, line: Line, walkers: list[Walker]) -> None:
        chance = random.Random(len(walkers))
        ahead = [walker for walker in walkers if walker.steps < self.steps]
        while ahead and not self._stop.is_set():
            for walker in ahead:
                if self._stop.is_set():
                    return
                self._post_steps(line, walker, chance)
                if self._stop.wait(self.pause_s):
                    return
            ahead = [walker for walker in ahead if walker.steps < self.steps]

    def _post_steps(self, line: Line, walker: Walker, chance: random.Random) -> None:
        """The next few fixes, shuffled, now and then with some that were sent before; again until acknowledged."""
        count = min(chance.choice((1, 1, 2, 3)), self.steps - walker.steps)
        steps = list(range(walker.steps, walker.steps + count))
        again = list(range(max(0, walker.steps - 2), walker.steps)) if chance.random() < 0.1 else []
        requested = [*steps, *again]
        chance.shuffle(requested)
        walker.steps += count
        body = {"fixes": walker.fixes(self.stage.world.walk, requested)}
        while not self._post(
            line, "walk", (walker.device_id, walker.token), [walker.time_ms(s) for s in requested], body
        ):
            if chance.randrange(100) < self.give_up_percent or self._stop.wait(0.1):
                return

    def _shop(self, line: Line, shoppers: list[tuple[str, str]]) -> None:
        shop = self.stage.world.shop
        for shopper in shoppers:
            now_ms = round(time.time() * 1000)
            fix = {
                "latitude": shop.latitude_deg,
                "longitude": shop.longitude_deg,
                "horizontal_accuracy_m": 5,
                "fix_time": datetime.fromtimestamp(now_ms / 1000, tz=UTC).isoformat(),
            }
            while not self._post(line, "shop", shopper, [now_ms], {"fixes": [fix]}):
                if self._stop.wait(0.1):
                    return
            if self._stop.wait(self.shop_pause_s):
                return

    def _post(self, line: Line, kind: str, who: tuple[str, str], times_ms: list[int], body: Any) -> bool:
        """Send one request, recorded before and after. False: it is unknown whether it was stored."""
        device_id, token = who
        operation = self.history.invoke(kind, device_id, times_ms)
        status, answer = line.send("POST", "/v1/fixes", body, token)
        if status == 202:
            refused = {one["index"] for one in answer["rejected"]}
            self.history.settle(operation, CallResult.OK, [t for i, t in enumerate(times_ms) if i not in refused])
            if refused:
                self.history.settle(operation, CallResult.FAILED, [times_ms[index] for index in refused])
            return True
        # 503 means "not acknowledged": the entry may still be in the stream.
        is_unknown = status in {0, 503}
        self.history.settle(operation, CallResult.UNKNOWN if is_unknown else CallResult.FAILED, times_ms)
        return not is_unknown

    def _redeem(self, line: Line, coupons: list[str]) -> None:
        for code in coupons:
            scan = {"code": code, "nonce": str(uuid4()), "scanned_at": datetime.now(tz=UTC).isoformat()}
            status = 0
            while status not in {200, 201} and not self._stop.is_set():
                operation = self.history.invoke("redeem", "till", [code])
                status, _ = line.send("POST", "/v1/staff/redemptions", scan, self.till)
                outcome = CallResult.OK if status in {200, 201} else CallResult.UNKNOWN
                self.history.settle(operation, outcome, [code])
                if self._stop.wait(self.redeem_pause_s):
                    return
            if self._stop.is_set():
                return


def open_till(stage: Stage) -> str:
    """A staff device's access token, over HTTP as staff get it."""
    enrolment = create_enrolment(
        store=stage.world.shop, label="Till", is_manager=False, user=None, now=datetime.now(tz=UTC)
    )
    with closing(Line(stage.port, [])) as line:
        status, answer = line.send("POST", "/v1/staff/enrolments", {"token": enrolment}, "")
    assert status == 201, answer
    return str(answer["access_token"])


def unlock_coupons(stage: Stage, count: int) -> list[str]:
    """Codes of new coupons, each unlocked at the shop by another phone."""
    shop, line, codes = stage.world.shop, Line(stage.port, []), []
    for _device_id, token in register(count):
        fix = {
            "latitude": shop.latitude_deg,
            "longitude": shop.longitude_deg,
            "horizontal_accuracy_m": 5,
            "fix_time": datetime.now(tz=UTC).isoformat(),
        }
        status, answer = line.send("POST", f"/v1/offers/{stage.world.campaign.uuid}/unlock", {"fix": fix}, token)
        assert status == 201, answer
        codes.append(str(answer["coupon"]["code"]))
    line.close()
    return codes


def read_figures(stage: Stage) -> dict[str, float]:
    """Every sample of `/metrics`."""
    status, text = _get(stage, "/metrics")
    assert status == 200, text
    return {name: float(value) for name, value in re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)}


def read_readiness(stage: Stage) -> tuple[int, dict[str, str]]:
    """The status of `/readyz` and the state of each part."""
    status, text = _get(stage, "/readyz")
    return status, json.loads(text)["checks"]


def _get(stage: Stage, path: str) -> tuple[int, str]:
    with closing(HTTPConnection("127.0.0.1", stage.port, timeout=TIMEOUT_S)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
