"""The web process: the fix lane in front, Django behind it."""

import gc
import os
import warnings
from importlib import import_module

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promotions.settings")

# Static files come from WhiteNoise as ordinary iterators, which Django reads on a thread; they are few and small.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

from promotions.conf import refuse_faulty_settings  # noqa: E402

refuse_faulty_settings()

# They are served from the code and its packages; nothing is collected.
warnings.filterwarnings("ignore", message="No directory at")

from django.core.asgi import get_asgi_application  # noqa: E402

django_application = get_asgi_application()

from promotions import telemetry  # noqa: E402
from promotions.checks import refuse_unsafe_start  # noqa: E402
from promotions.clocks import ClockWatch  # noqa: E402
from promotions.database.audiences import ByAudience  # noqa: E402
from promotions.database.roles import Role, assume_role  # noqa: E402
from promotions.http.lane.lane import FixLane  # noqa: E402
from promotions.http.lane.schema import lane_paths  # noqa: E402
from promotions.http.last_resort import LastResort  # noqa: E402
from promotions.http.request_limits import RequestLimits  # noqa: E402
from promotions.http.sessions import knows_session  # noqa: E402
from promotions.logs import capture_output  # noqa: E402

capture_output()
# Requests run on many short-lived threads, so the process has pools instead of a connection per thread.
assume_role(Role.WEB)
refuse_unsafe_start()
telemetry.start("web")
by_audience = ByAudience(django_application)  # type: ignore[arg-type]  # Django's stub narrows the scope to dict
ClockWatch("web").start()
behind_lane = LastResort(RequestLimits(by_audience, knows_session=knows_session))
lane = FixLane(behind_lane)
application = telemetry.observe(lane, known_paths=frozenset(lane_paths()))

# Exempt everything loaded so far. Else each full collection would walk all of it: 50 ms in which no request is served.
import_module("promotions.urls")
gc.collect()
gc.freeze()
# A request leaves almost no reference cycles, so a collection after every 700 objects finds nothing.
gc.set_threshold(20_000, 20, 20)
