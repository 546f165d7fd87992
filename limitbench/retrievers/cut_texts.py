"""How many texts a model does not read to their end, in its own tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from limitbench.retrievers.base import CutTexts

if TYPE_CHECKING:
    from limitbench.retrievers.models import Loaded


def cut_texts(model: Loaded, texts: Sequence[str], side: str, prompt: str = "") -> CutTexts | None:
    """How many of these texts are longer than the model reads, in its own tokens; None where it reads them whole.

    A text of n bytes has at most n tokens and a few special ones, so only longer texts are tokenised. The count is kept with the
    model.
    """
    digest = hashlib.sha256("\0".join((prompt, *texts)).encode("utf-8", "surrogatepass")).hexdigest()
    key = (side, digest)
    if key not in model.cut:
        model.cut[key] = _counted(model.engine, texts, side, prompt)
    return model.cut[key]


def _counted(engine: Any, texts: Sequence[str], side: str, prompt: str) -> CutTexts | None:
    reader = _reader(engine, side)
    limit = getattr(reader, f"{side}_length", None) or getattr(reader, "max_seq_length", None)
    return _over(reader, limit, [(prompt + text,) for text in texts], side)


def _over(reader: Any, limit: Any, texts: Sequence[tuple[str, ...]], side: str) -> CutTexts | None:
    """Of single texts or pairs, those that have more tokens than the limit, special ones counted."""
    tokenizer = getattr(reader, "tokenizer", None)
    if tokenizer is None or not callable(tokenizer) or not isinstance(limit, int) or limit > 10**9:
        return None
    pair = side == "pair"
    special = int(tokenizer.num_special_tokens_to_add(pair=pair))
    long = [parts for parts in texts if sum(len(t.encode("utf-8", "replace")) for t in parts) + special > limit]
    lengths: list[int] = []
    for start in range(0, len(long), 1024):
        batch = [list(parts) if pair else parts[0] for parts in long[start : start + 1024]]
        found = tokenizer(batch, truncation=False, padding=False, return_attention_mask=False, verbose=False)
        lengths += map(len, found["input_ids"])
    over = [length for length in lengths if length > limit]
    return CutTexts(side, len(over), len(texts), max(over), limit) if over else None


def cut_pairs(model: Loaded, pairs: Sequence[tuple[str, str]]) -> CutTexts | None:
    """How many pairs of query and document are longer, together, than a cross-encoder reads."""
    reader = _reader(model.engine, "query")
    return _over(reader, getattr(reader, "max_seq_length", None), pairs, "pair")


def _reader(engine: Any, side: str) -> Any:
    """The module that tokenises texts of a side: the first one, or the first of the side's route."""
    first = engine[0]
    routes = getattr(first, "sub_modules", None)
    if routes is None:
        return first
    route = side if side in routes else getattr(first, "default_route", None) or next(iter(routes))
    return routes[route][0]
