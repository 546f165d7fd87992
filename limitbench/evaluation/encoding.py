"""A corpus encoded in shards, here or on a cluster: each shard once, whatever stops it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from limitbench.collection import Corpus
from limitbench.errors import DataError, InputError
from limitbench.progress import Each, raised
from limitbench.retrievers import Adapter, NamedRetriever
from limitbench.retrievers.base import CutTexts
from limitbench.retrievers.best_columns import Floats
from limitbench.retrievers.shard_files import Folder, folder_of
from limitbench.retrievers.sharded import here
from limitbench.retrievers.shards import MANIFEST, Listed, Manifest, settled
from limitbench.retrievers.vectors import SingleVectorIndex


@dataclass(frozen=True)
class Piece:
    """Documents of a corpus that make one shard."""

    number: int
    corpus: Corpus

    def __str__(self) -> str:
        return f"shard {self.number}"


class _Pieces(Sequence[Piece]):
    """The pieces that are wanted, cut when they are asked for, so that texts are not held twice."""

    def __init__(self, corpus: Corpus, size: int, wanted: Sequence[int]) -> None:
        self.corpus, self.size, self.wanted = corpus, size, wanted

    def __len__(self) -> int:
        return len(self.wanted)

    def __getitem__(self, place: Any) -> Any:
        return piece(self.corpus, self.size, self.wanted[place])


def piece(corpus: Corpus, size: int, number: int) -> Piece:
    """The shard of this number."""
    part = slice(number * size, (number + 1) * size)
    return Piece(number, Corpus(corpus.ids[part], corpus.texts[part], corpus.titles[part]))


def _encoded(by: NamedRetriever, one: Piece) -> tuple[Floats, str, CutTexts | None]:
    """A shard's vectors (documents, d) as they are searched, the similarity, and which texts were cut. A worker keeps its model."""
    index = by.retriever.index(one.corpus)
    if not isinstance(index, SingleVectorIndex):
        raise InputError(f"{by.name} has no single vectors; expected a dense retriever, such as minilm or dense:MODEL")
    vectors = index.vectors
    if vectors.kind != "exact" or vectors.storage.dtype != "fp32" or vectors.similarity not in ("cosine", "dot"):
        raise InputError(
            f"{by.name} is not searched exactly in fp32 by cosine or dot; leave out dtype, index and similarity"
        )
    cut = next(iter(index.facts.cut_texts), None)
    return np.ascontiguousarray(vectors.documents, np.float32), vectors.similarity, cut


def _require_alone(corpus: Corpus, by: NamedRetriever) -> str:
    """The similarity of a retriever. Raises `InputError` where a text's vector depends on the corpus around it, as by idf."""
    few, many = piece(corpus, 2, 0), piece(corpus, 64, 0)
    (alone, similarity, _), (among, *_) = _encoded(by, few), _encoded(by, many)
    if not np.allclose(alone, among[: len(alone)], atol=1e-2 * float(np.abs(alone).max(initial=1e-9))):
        raise InputError(
            f"{by.name}'s vector of a text depends on the other texts, so that shards would differ; leave weights out"
        )
    return similarity


def encode(
    corpus: Corpus,
    by: NamedRetriever,
    out: str | Path | Folder,
    *,
    size: int = 50_000,
    each: Each = here,
    told: Callable[[int, int, bool], None] = lambda _done, _of, _reused: None,
) -> Manifest:
    """Write the vectors of a corpus as shards of `size` documents, and the manifest that `shards:FOLDER` reads, last.

    `out` is a folder, or a URL that fsspec knows. A shard is named for its texts and for what encodes them, and written whole: one
    that is there is not made again, and each is made once. `told` gets (shards done, of, whether they were there). Raises
    `InputError` for an empty corpus, or for a retriever without single vectors in fp32, and `StorageError` where nothing can be
    written.
    """
    if not len(corpus) or size < 1:
        raise InputError("expected at least one document, and shards of at least one")
    if not isinstance(by.retriever, Adapter):
        raise InputError(f"{by.name} is an object of another package; expected a retriever by its spec")
    folder = folder_of(out) if isinstance(out, str | Path) else out
    folder.require_writable()
    configuration = by.retriever.configuration
    names = [_name(number, digest, configuration) for number, digest in enumerate(corpus.part_digests(size))]
    count = len(names)
    done: dict[int, tuple[int, int]] = {
        i: shape for i, name in enumerate(names) if (shape := folder.shape(name)) is not None
    }
    missing = [i for i in range(count) if i not in done]
    told(len(done), count, True)
    similarity = _require_alone(corpus, by)
    cuts: list[CutTexts] = []
    for place, (vectors, _, cut) in raised(each(partial(_encoded, by), _Pieces(corpus, size, missing), label=str)):
        number = missing[place]
        _write(folder, names[number], vectors, cut)
        done[number] = (len(vectors), vectors.shape[1])
        told(len(done), count, False)
    state = hashlib.sha256()
    for name in names:
        state.update(np.ascontiguousarray(folder.vectors(name)).data)
        cuts += _noted(folder, f"{name}.json")
    listed = [Listed(file=name, documents=done[i][0], sha256=name[-20:-4]) for i, name in enumerate(names)]
    options = by.retriever.model_dump(mode="json", exclude_defaults=True)
    manifest = Manifest(
        retriever={"name": by.retriever.adapter, **settled(options)}, configuration=configuration,
        corpus=corpus.digest, vectors=state.hexdigest(), dim=done[0][1],
        similarity="dot" if similarity == "dot" else "cosine", shards=listed, cut=_together(cuts, len(corpus)),
    )  # fmt: skip
    folder.write(MANIFEST, manifest.to_json())
    return manifest


def _write(folder: Folder, name: str, vectors: Floats, cut: CutTexts | None) -> None:
    """A shard's vectors, after what is to be known of its texts."""
    if cut is not None:
        folder.write(f"{name}.json", json.dumps(asdict(cut)).encode())
    packed = io.BytesIO()
    np.save(packed, vectors, allow_pickle=False)
    folder.write(name, packed.getbuffer())


def _noted(folder: Folder, name: str) -> list[CutTexts]:
    """What is known of the cut texts of a shard."""
    told = folder.read(name)
    try:
        return [] if told is None else [CutTexts(**json.loads(told))]
    except (ValueError, TypeError):
        raise DataError(folder.at(name), "is not whole; delete it and the shard beside it, and encode again") from None


def _together(cuts: Sequence[CutTexts], documents: int) -> dict[str, Any] | None:
    """The cut texts of all shards, as one."""
    if not cuts:
        return None
    count, longest = sum(one.count for one in cuts), max(one.longest for one in cuts)
    return asdict(replace(cuts[0], count=count, of=documents, longest=longest))


def _name(number: int, digest: str, configuration: dict[str, Any]) -> str:
    """A shard's file: its number, and a digest of its documents and of what encodes them."""
    state = hashlib.sha256(digest.encode())
    state.update(json.dumps(settled(configuration), sort_keys=True, ensure_ascii=False).encode())
    return f"documents-{number:05d}-{state.hexdigest()[:16]}.npy"
