"""Upper bounds from an order of the documents in which rows change sign rarely (Alon, Frankl and Roedl 1985)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from limitbench.theory import orders
from limitbench.theory.bounds import Bound
from limitbench.theory.case import Case

_SHARE = 0.3  # of the time left


def bounds(case: Case) -> Iterator[Bound]:
    """The bound of the best order that is found in three tenths of the time."""
    lift = int(case.notion != "order_preserving")
    floor = max(1, case.lower - lift)
    found, value = orders.best_order(case.reduced, deadline=case.until(_SHARE), rng=case.rng, floor=floor)
    place = np.empty(case.n, np.int64)
    place[found] = np.arange(case.n)
    spread = np.lexsort((np.arange(case.qrels.n_documents), place[case.reduced.column_of])).tolist()
    detail = f"an order with at most {value} sign changes a row"
    yield case.bound("upper", value + lift, "sign-changes", {"order": spread}, evidence="constructed", detail=detail)
