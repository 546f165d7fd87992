"""The exact dimension for all k-subsets of n documents, as theory/all-subsets.md derives it.

The checker of certificates recomputes these values with code of its own (`certificates.kinds.closed_form`); a test compares both.
"""

from __future__ import annotations

from limitbench.certificates import AllSubsets, Notion


def closed_form(n: int, k: int, notion: Notion, *, at_most: bool = False) -> int:
    """The exact dimension for all k-subsets of n documents, or all of at most k. Raises `InputError` for k outside 0..n.

    Generic bounds are 2k (2k + 1 for the sign rank). What n documents need at most caps them: an affine dependency of all
    documents, or of all but one, is left where it breaks no set. Sets and their complements ask for the same, so k stands for the
    smaller side, but not where one threshold serves all, or sets of at most k are asked for.
    """
    matrix = AllSubsets(n, k, at_most)
    sign = notion == "sign_rank"
    if at_most:
        if notion == "global_threshold" and k == n:  # the empty set beside the full one
            return n
        return max(int(sign), min(2 * k + sign, n - 1 + sign))
    small = min(matrix.k, n - k)
    if small == 0:
        return int(sign)
    spare = 1 if small > 1 else 0  # a dependency of all documents that no set breaks
    caps = {
        "order_preserving": n - 1 - spare,
        "sign_rank": n - 1,
        "cosine": n - 1 - (spare if small > 2 else 0),
        "global_threshold": n - 1,
    }
    return min(2 * small + sign, caps[notion])
