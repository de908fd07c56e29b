"""Requests whose times and counts can be true. A broken clock or a foreign writer of logs may tell of others."""

from __future__ import annotations

import itertools

import numpy as np

from shosei.log import Columns, Log, Request
from shosei.metrics.metric import Text, text

_YEAR_NS = 365 * 24 * 3600 * 10**9  # no request lasts so long, nor does a boot's log
_IN_ORDER = [
    ("scheduled_ns", "first_token_ns"),
    ("scheduled_ns", "last_token_ns"),
    ("scheduled_ns", "done_ns"),
    ("sent_ns", "first_token_ns"),
    ("first_token_ns", "first_answer_ns"),
    ("first_answer_ns", "last_token_ns"),
    ("first_token_ns", "last_token_ns"),
    ("last_token_ns", "done_ns"),
    ("first_token_ns", "done_ns"),
    ("sent_ns", "done_ns"),
]
_COUNTS = ("tokens_out", "bytes_sent", "bytes_received", "longest_gap_ns")
_MOMENTS = sorted(set(itertools.chain.from_iterable(_IN_ORDER)))


def plausible(log: Log) -> Columns:
    """The requests that can have been: moments in their order and within a year, no negative time or count.

    No metric looks at the others, since nobody knows which of their times is the wrong one.
    """
    requests = log.columns(Request)
    return requests.at(~_is_impossible(requests)) if len(requests) else requests


def left_out(log: Log) -> list[Text]:
    """A warning, where there are requests that are not plausible."""
    requests = log.columns(Request)
    count = len(requests) - len(plausible(log))
    return [text("warning.impossible_requests", count=count, of=len(requests))] if count else []


def _is_impossible(requests: Columns) -> np.ndarray:
    impossible = np.zeros(len(requests), dtype=bool)
    for field in (*_MOMENTS, *_COUNTS):
        impossible |= requests.has(field) & (requests[field] < 0)
    for before, after in _IN_ORDER:
        impossible |= requests.has(before) & requests.has(after) & (requests[after] < requests[before])
    impossible |= requests.has("done_ns") & (requests["done_ns"] - requests["scheduled_ns"] > _YEAR_NS)
    for boot in requests.texts("boot"):
        here = requests.where("boot", boot)
        distance_ns = np.abs(requests["scheduled_ns"] - np.median(requests["scheduled_ns"][here]))
        impossible |= here & (distance_ns > _YEAR_NS)
    return impossible
