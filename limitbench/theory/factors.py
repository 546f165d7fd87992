"""Upper bounds by search: low-rank factors with the right signs, rounded to integers, verified exactly.

For dimension d, find query vectors u (m, d), document vectors v (n, d) and thresholds t (m) with u v^T - t of the signs
of 2A - 1; then round u and v at growing scales until every relevant score exceeds every other one, in integers.
Floating point proposes; integers decide. A failed search says nothing.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from limitbench.certificates import Notion

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def search(
    a: npt.NDArray[np.int8], d: int, notion: Notion, *, deadline: float, rng: np.random.Generator, tries: int = 12
) -> tuple[Ints, Ints, int] | None:
    """(u, v, threshold) in integers, verified, that realise the 0/1 matrix a (m, n) in d dimensions; or None.

    For `cosine` the documents have one integer norm only by luck, so that notion is not searched for.
    """
    signs = (2.0 * a - 1.0).astype(np.float64)
    for _ in range(tries):
        found = _descend(signs, d, notion, rng, deadline)
        if found is not None and (rounded := _round(a, *found, notion)) is not None:
            return rounded
        if time.monotonic() > deadline:
            return None
    return None


def _descend(
    signs: Floats, d: int, notion: Notion, rng: np.random.Generator, deadline: float
) -> tuple[Floats, Floats] | None:
    """Float vectors u (m, d), v (n, d) whose signs, affine ones but for the sign rank, are right; or None.

    Minimises sum log(1 + exp(-beta M_ij cos(u_i, v_j))) by L-BFGS at rising beta. Affine functionals are linear ones on
    vectors with a last coordinate: held at 1 in every v, and for one threshold at a common value in every u.
    """
    m, n = signs.shape
    r = d if notion == "sign_rank" else d + 1
    x = rng.standard_normal((m + n, r))
    free = np.ones((m + n, r))
    if notion != "sign_rank":
        x[m:, -1], free[m:, -1] = 1.0, 0.0
    if notion == "global_threshold":
        x[:m, -1], free[:m, -1] = rng.choice([-1.0, 1.0]), 0.0
    relevant = max(1, int((signs > 0).sum()))
    weight = np.where(signs > 0, max(1.0, ((signs < 0).sum() / relevant) ** 0.5), 1.0)
    sides = (slice(0, m), slice(m, m + n))
    single, heavy = signs.astype(np.float32), weight.astype(np.float32)  # only proposes, so 32 bits will do

    def loss(flat: Floats, beta: float) -> tuple[float, Floats]:
        y = flat.reshape(m + n, r).astype(np.float32)
        norms = np.sqrt((y * y).sum(axis=1, keepdims=True))
        unit = y / norms
        u, v = unit[sides[0]], unit[sides[1]]
        z = np.float32(beta) * single * (u @ v.T)
        tail = np.exp(-np.abs(z))  # log(1 + e^-z) and 1 / (1 + e^z) both come from it
        value = float((heavy * (np.log1p(tail) + np.maximum(-z, 0))).sum(dtype=np.float64))
        slope = np.float32(-beta) * heavy * single * np.where(z > 0, tail, 1) / (1 + tail)
        g = np.concatenate([slope @ v, slope.T @ u])
        g = (g - unit * (g * unit).sum(axis=1, keepdims=True)) / norms
        return value, (g * free).ravel().astype(np.float64)

    def look_at_the_clock(xk: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:  # noqa: ARG001
        if time.monotonic() > deadline:
            raise StopIteration  # ends the minimisation at the point that it has reached

    from scipy.optimize import minimize  # slow to import, and closed forms need none of it

    for beta in 5.0 * 1.5 ** np.arange(12):
        result = minimize(
            loss, x.ravel(), args=(beta,), jac=True, method="L-BFGS-B", callback=look_at_the_clock,
            options={"maxiter": 40, "maxcor": 20},
        )  # fmt: skip
        x = np.asarray(result.x, float).reshape(m + n, r)
        if (signs * (x[sides[0]] @ x[sides[1]].T) > 0).all():
            return x[sides[0], :d], x[sides[1], :d]
        if time.monotonic() > deadline:
            return None
    return None


def _round(a: npt.NDArray[np.int8], u: Floats, v: Floats, notion: Notion) -> tuple[Ints, Ints, int] | None:
    u = u / np.abs(u).max(axis=1, keepdims=True).clip(1e-300) if notion != "global_threshold" else u / np.abs(u).max()
    v = v / np.abs(v).max()
    for digits in range(1, 9):
        scale = 10.0**digits
        ui, vi = np.rint(u * scale).astype(np.int64), np.rint(v * scale).astype(np.int64)
        scores = ui @ vi.T  # below d * 10^16: exact in 64 bits for d up to 900
        if ui.shape[1] > 900:
            return None
        low = np.where(a > 0, scores, np.iinfo(np.int64).max).min(axis=1)
        high = np.where(a > 0, np.iinfo(np.int64).min, scores).max(axis=1)
        if notion == "order_preserving" and (low > high).all():
            return ui, vi, 0
        if notion == "sign_rank" and (low > 0).all() and (high < 0).all():
            return ui, vi, 0
        if notion == "global_threshold" and low.min() > high.max() + 1:
            return ui, vi, int(high.max() + 1)
    return None
