"""The last answer: an exception that no other code handled becomes a problem document and one log line."""

import logging

from promotions.errors import DomainError
from promotions.http.lane.answers import (
    Answer,
    Application,
    Receive,
    RequestHead,
    Scope,
    Send,
    problem_answer,
    send_answer,
)
from promotions.http.request_limits import SentAnswer

logger = logging.getLogger(__name__)


class LastResort:
    """ASGI application in front of another one. Answers 500 `internal` when the other one raises before it answers."""

    def __init__(self, inner: Application) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the event on. A response that has begun cannot be changed: then the error goes on to the server."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        watched = SentAnswer(send)
        try:
            await self._inner(scope, receive, watched.send)
        except Exception as error:
            if watched.is_begun:
                raise
            head = RequestHead(scope["headers"])
            await send_answer(send, answer_unexpected(error, scope["path"], head.request_id), head.request_id)


def answer_unexpected(error: Exception, path: str, request_id: str) -> Answer:
    """Log an unexpected error once, with the request's id and without its content, and return the 500 problem."""
    logger.error("request_failed", extra={"request_id": request_id, "path": path}, exc_info=error)
    return problem_answer(DomainError("internal"), instance=path, request_id=request_id)
