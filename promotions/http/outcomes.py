"""Counts and durations of calls, by outcome."""

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from prometheus_client import Counter, Histogram
from rest_framework.request import Request
from rest_framework.response import Response

from promotions.http.problems import find_code
from promotions.http.views import ApiView

Method = Callable[..., Response]


def counted(total: Counter, seconds: Histogram, outcomes: Mapping[int, str]) -> Callable[[Method], Method]:
    """Count each call of a method in `total` by `code` and time it: an answer by its status, an error by its code.

    Inside `@idempotent`: a repeated answer was counted when it was made.
    """

    def decorate(method: Method) -> Method:
        @wraps(method)
        def answer(view: ApiView, request: Request, *args: Any, **kwargs: Any) -> Response:
            begun_s = time.perf_counter()
            code = "internal"
            try:
                response = method(view, request, *args, **kwargs)
                code = outcomes[response.status_code]
                return response
            except Exception as error:
                code = find_code(error)
                raise
            finally:
                total.labels(code).inc()
                seconds.observe(time.perf_counter() - begun_s)

        return answer

    return decorate
