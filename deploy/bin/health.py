"""Health check of a container. It imports neither Django nor the product: it runs every few seconds."""

import http.client
import os
import socket
import sys
from pathlib import Path

WITHIN_S = 5


def check_web() -> str:
    """Return why the web process is not healthy; empty when it is."""
    # Any host name that the process answers to.
    host = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".") or "localhost"
    peer = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=WITHIN_S)
    try:
        peer.request("GET", "/healthz", headers={"Host": "localhost" if host == "*" else host})
        status = peer.getresponse().status
    except OSError as error:
        return f"no answer: {error}"
    finally:
        peer.close()
    return "" if status == 200 else f"/healthz answers {status}"


def check_worker() -> str:
    """Return why no worker of this host answers; empty when one does."""
    from celery import Celery

    broker = os.environ.get("REDIS_URL") or Path(os.environ["REDIS_URL_FILE"]).read_text(encoding="utf-8").strip()
    app = Celery(broker=broker)
    prefix = os.environ.get("REDIS_PREFIX") or "doorstep"
    app.conf.broker_transport_options = {"global_keyprefix": f"{prefix}:celery:", "socket_timeout": WITHIN_S}
    answers = app.control.ping(timeout=WITHIN_S) or []
    here = f"@{socket.gethostname()}"
    return "" if any(name.endswith(here) for answer in answers for name in answer) else f"no worker{here} answers"


if __name__ == "__main__":
    if fault := {"web": check_web, "worker": check_worker}[sys.argv[1]]():
        sys.exit(fault)
