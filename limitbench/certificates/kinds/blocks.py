"""Upper bounds of matrices that fall into blocks, from a bound inside each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from limitbench.certificates.claims import Proof, implied
from limitbench.certificates.kinds import embedding, moment_curve, ranks, sign_changes, trivial
from limitbench.certificates.matrices import Explicit, Matrix
from limitbench.certificates.work import Steps, numbers, require

# the proofs that a block may have; a block of blocks is none
_INSIDE: dict[str, Callable[[Matrix, Mapping[str, Any], Steps], Iterable[Proof]]] = {
    "moment-curve": moment_curve.proofs,
    "sign-changes": sign_changes.proofs,
    "embedding": embedding.proofs,
    "rank": ranks.proofs,
    "trivial": trivial.proofs,
}


def proofs(matrix: Matrix, data: Mapping[str, Any], steps: Steps) -> list[Proof]:
    """Rows that each lie inside one block of documents: rop <= 2 + the largest block's (1 + for two blocks).

    Block b sits at height t_b, and each of its queries adds a large multiple of 2 t_b x - y on (t_b, t_b^2), which is
    largest on its own block; one coordinate does for two blocks.
    """
    require(isinstance(matrix, Explicit), "a block certificate is about given qrels")
    assert isinstance(matrix, Explicit)
    parts = data["blocks"]
    owner: dict[int, int] = {}
    for number, part in enumerate(parts):
        for column in numbers(part["columns"], matrix.n, "columns"):
            require(column not in owner, f"document {column} is in two blocks")
            owner[column] = number
    require(len(owner) == matrix.n and len(parts) >= 2, "the blocks must hold every document")
    inside: list[list[frozenset[int]]] = [[] for _ in parts]
    places = [{column: i for i, column in enumerate(part["columns"])} for part in parts]
    for row in matrix.rows:
        if 0 < len(row) < matrix.n:
            owners = {owner[column] for column in row}
            require(len(owners) == 1, "a row crosses two blocks")
            b = owners.pop()
            inside[b].append(frozenset(places[b][column] for column in row))
    worst = 0
    for part, rows in zip(parts, inside, strict=True):
        block = Explicit(tuple(rows), len(part["columns"]))
        require(part["kind"] in _INSIDE, "unknown block proof")
        proved = [implied(p, "order_preserving", "upper") for p in _INSIDE[part["kind"]](block, part["data"], steps)]
        worst = max(worst, min(value for value in proved if value is not None))
    return [("order_preserving", "upper", worst + (1 if len(parts) == 2 else 2))]
