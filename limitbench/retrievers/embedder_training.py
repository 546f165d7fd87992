"""A single-vector model fine-tuned on a dataset's own judgements: what training can and cannot mend (the LIMIT paper's Table 3).

Any sentence-transformers model can be the start; the default is wordllama's table of tokens, which trains in a minute on two cores.
The loss is InfoNCE over the documents of a batch: a query's own document against those of the other queries, but for the relevant
ones among them. Training is by steps, so a seed gives the same weights on the same machine and versions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from limitbench.collection import Dataset
from limitbench.errors import InputError, SpecError
from limitbench.files import atomic_write, require_writable, storing
from limitbench.retrievers.dense import Dense, Encoder, fresh_model
from limitbench.retrievers.models import POOLER, loading

Watch = Callable[[int, int, float], None]  # steps done, of, the loss
CARD = "limitbench.json"
_STATIC_RATE, _RATE = 0.02, 2e-5  # of a table of tokens, and of a transformer
_WARM = 20  # steps
_AT_ONCE = 16  # texts that a transformer reads in one call while it learns


class EmbedderTraining(BaseModel):
    """How to train: everything that decides the weights, on one machine with one set of versions.

    The loss is of the first `dim` coordinates; None: of all. `queries` are those of a step. Without a `rate` it is 0.02 for a table
    of tokens and 2e-5 for other models.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    base: str = "wordllama"
    dim: int | None = Field(None, ge=1)
    steps: int = Field(1000, ge=1)
    seed: int = Field(0, ge=0, lt=2**31)
    queries: int = Field(128, ge=2)
    rate: float | None = Field(None, gt=0, allow_inf_nan=False)
    temperature: float = Field(0.02, gt=0, allow_inf_nan=False)
    device: str = "auto"


def train_embedder(
    out: Path, data: Dataset, how: EmbedderTraining | None = None, watch: Watch | None = None
) -> dict[str, Any]:
    """Train on a dataset's queries and relevant documents, write the model's folder, and return the card that lies in it.

    A folder that holds this very training, with the weights that its card names, is left as it is; one that holds another is made
    anew. Raises `SpecError` for more dimensions than the model has, `InputError` for a dataset without two answered queries, or a
    folder that holds something else than such a model, `StorageError` for one that cannot be written.
    """
    how = how or EmbedderTraining()
    options = Dense(model=how.base, device=how.device, batch_size=_AT_ONCE)
    card = {
        "label": f"fine-tuned by limitbench on the judgements of {data.name}", **how.model_dump(), "trained_on": data.name,
        "trained_on_sha256": data.digest, "start": options.card,
    }  # fmt: skip
    there = _there(out)
    if there is not None and there == {**card, "weights_sha256": _weights(out)}:
        return there
    if there is None and out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} holds something else than a model that limitbench trained; choose another --out")
    answered = np.flatnonzero(np.diff(data.qrels.relevant.indptr))
    if len(answered) < 2:
        raise InputError(
            f"dataset '{data.name}' has {len(answered)} queries with a relevant document, expected 2 or more"
        )
    require_writable(out)
    torch.manual_seed(how.seed)
    with loading("model", how.base, how.device, unread=POOLER):
        model = fresh_model(options, options.source)
    encoder = Encoder.of(options)
    if how.dim is not None and how.dim > model.get_embedding_dimension():
        raise SpecError(f"{how.base}: found dim={how.dim}, expected at most {model.get_embedding_dimension()}")
    with suppress(FileNotFoundError):  # before the weights change: a card must not vouch for others
        (out / CARD).unlink()
    _optimise(model.train(), encoder.prompts, data, answered, how, watch)
    with storing(out):
        model.eval().save(str(out), create_model_card=False)
    card["weights_sha256"] = _weights(out)
    with atomic_write(out / CARD) as stream:
        stream.write((json.dumps(card, indent=1) + "\n").encode())
    return card


def _there(out: Path) -> dict[str, Any] | None:
    """The card of a model that is whole: it is written last."""
    try:
        found = json.loads((out / CARD).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "trained_on_sha256" in found else None


def _weights(folder: Path) -> str:
    """sha256, in hex, of the weights' files."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        found.update(path.read_bytes())
    return found.hexdigest()


def _optimise(
    model: Any, prompts: dict[str, str], data: Dataset, answered: npt.NDArray[np.int64], how: EmbedderTraining, watch: Watch | None
) -> None:  # fmt: skip
    static = _is_static(model)
    rate = how.rate or (_STATIC_RATE if static else _RATE)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / _WARM, (how.steps - step) / (0.5 * how.steps))
    )
    size = 4096 if static else _AT_ONCE

    def embedded(texts: list[str], side: str) -> torch.Tensor:
        """Unit vectors (texts, dim) of one side, as the model embeds them, with gradients."""
        task = {"task": side}
        rows = []
        for start in range(0, len(texts), size):
            part = [prompts[side] + text for text in texts[start : start + size]]
            features = {name: _moved(value, model.device) for name, value in model.preprocess(part, **task).items()}
            rows.append(model(features, **task)["sentence_embedding"].float()[:, : how.dim])
        return torch.nn.functional.normalize(torch.cat(rows), dim=1)

    judged = data.qrels.relevant
    relevant = sparse.csr_array((np.ones(len(judged.indices), bool), judged.indices, judged.indptr), shape=judged.shape)
    for step, (rows, columns) in enumerate(_batches(data, answered, how)):
        documents, own = np.unique(columns, return_inverse=True)
        scores = (
            embedded([data.queries.texts[q] for q in rows.tolist()], "query")
            @ embedded([data.corpus.contents[d] for d in documents.tolist()], "document").T
        )  # (queries, documents)
        others = relevant[rows][:, documents].toarray()
        others[np.arange(len(rows)), own] = False
        scores = scores.masked_fill(torch.from_numpy(others).to(scores.device), float("-inf")) / how.temperature
        loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(own).to(scores.device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if watch and ((step + 1) % 20 == 0 or step + 1 == how.steps):  # the loss comes from the device
            watch(step + 1, how.steps, float(loss.detach()))


def _batches(
    data: Dataset, answered: npt.NDArray[np.int64], how: EmbedderTraining
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Queries of each step, and one relevant document of each; all queries once before any comes again."""
    rng = np.random.default_rng(how.seed)
    indptr, indices = data.qrels.relevant.indptr, data.qrels.relevant.indices
    waiting = np.empty(0, np.int64)
    size = min(how.queries, len(answered))
    for _ in range(how.steps):
        if len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(answered)])
        rows, waiting = waiting[:size], waiting[size:]
        rows = np.unique(rows)
        chosen = indptr[rows] + (rng.random(len(rows)) * (indptr[rows + 1] - indptr[rows])).astype(np.int64)
        yield rows, indices[chosen].astype(np.int64)


def _is_static(model: Any) -> bool:
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    return any(isinstance(module, StaticEmbedding) for module in model.modules())


def _moved(value: Any, device: torch.device) -> Any:
    return cast(Any, value).to(device) if isinstance(value, torch.Tensor) else value
