"""A small cross-encoder of our own, trained on LIMIT-format text that shares no attribute with the test sets.

It stands in where no trained reranker can be had, and says so. It starts from the embeddings and the first layers of packaged
MiniLM and learns one thing: whether a list holds what a question asks for. Pairs differ in that alone: the same list with the
attribute and with another in its place. Lists grow as they are told apart, from two attributes to LIMIT's 45. (Single documents at
full length, with dropout, did not learn in 150 steps; see results/LOG.md.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from limitbench.collection import Dataset
from limitbench.datasets.draw import Draw
from limitbench.datasets.language import World, forms, parse_expression, vocabulary
from limitbench.datasets.latent import Names
from limitbench.datasets.worlds import WORLD_FORMS, People
from limitbench.errors import InputError, SpecError
from limitbench.files import atomic_write, require_writable, storing
from limitbench.retrievers.model_files import model_source, quiet

Watch = Callable[[int, int, float], None]  # steps done, of, the share of pairs told apart of late
_LONGEST = 45  # attributes a document of LIMIT lists
_FEWEST = 200  # attributes to train on


class Training(BaseModel):
    """How to train: everything that decides the weights, on one machine with one set of versions."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    steps: int = Field(731, ge=1)
    seed: int = Field(0, ge=0, lt=2**31)
    layers: int = Field(2, ge=1, le=6)
    rate: float = Field(3e-4, gt=0, allow_inf_nan=False)
    pairs: int = Field(16, ge=1)  # a step, two documents each
    device: str = "auto"


def stems(text: str) -> set[str]:
    """The words of an attribute without plural endings."""
    return {word.removesuffix("s").removesuffix("e") for word in re.findall(r"\w+", text.lower())}


def free_attributes(exclude: Iterable[Dataset]) -> list[str]:
    """Attributes and synonyms of ours that share no word with any attribute that these datasets list or ask for.

    Raises `InputError` for a dataset whose texts are not in LIMIT's form: there is nothing to exclude by.
    """
    taken: set[str] = set()
    for data in exclude:
        listed = {item for text in data.corpus.texts for world in WORLD_FORMS for item in world.listed(text)}
        if not listed:
            raise InputError(f"no document of '{data.name}' reads 'X likes A, B and C.'; leave it out of --exclude")
        questions = (world.asked(text) for text in data.queries.texts for world in WORLD_FORMS)
        asked = {item for question in questions for item in parse_expression(question, listed)[1]}
        for item in listed | asked:
            taken |= stems(item)
    ours = dict.fromkeys([*vocabulary("attributes"), *(said for _, said in forms("synonyms"))])
    return [word for word in ours if not stems(word) & taken]


def train_reranker(
    out: Path, *, exclude: Sequence[Dataset] = (), how: Training | None = None, watch: Watch | None = None
) -> dict[str, Any]:
    """Train, write the model's folder, and return the card that lies in it as limitbench.json.

    Raises `SpecError` where fewer than 200 attributes are free of the excluded datasets, `StorageError` for a folder that
    cannot be written.
    """
    how = how or Training()
    words = free_attributes(exclude)
    names = sorted(data.name for data in exclude)
    if len(words) < _FEWEST:
        raise SpecError(
            f"only {len(words)} attributes share no word with {', '.join(names)}; expected at least {_FEWEST} to train on"
        )
    require_writable(out)
    model, tokenizer = _started(how)
    device = torch.device(_device(how.device))
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=how.rate)
    warm, fall = max(1, min(50, how.steps // 6)), 0.3 * how.steps
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warm, (how.steps - step) / fall)
    )
    draw, world, people = Draw(how.seed), People(), Names(10_000, how.seed + 1)
    longest, late = 2, [0.0]
    for step in range(how.steps):
        texts = [text for _ in range(how.pairs) for text in _pair(draw, world, people, words, longest)]
        inputs = tokenizer(
            *map(list, zip(*texts, strict=True)), padding=True, truncation=True, max_length=512, return_tensors="pt"
        )
        scores = model(**inputs.to(device)).logits.squeeze(1)
        loss = _loss(scores)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        late = [*late[-9:], float((scores[::2] > scores[1::2]).float().mean())]
        if len(late) == 10 and np.mean(late) > 0.9 and longest < _LONGEST:
            longest, late = min(_LONGEST, longest + max(1, longest // 3)), [0.0]
        if watch:
            watch(step + 1, how.steps, float(np.mean(late)))
    card = {
        "label": "trained by limitbench on LIMIT-format text, of attributes that the excluded datasets do not have; "
        "knows that form and is no general reranker",
        **how.model_dump(), "excluded": names, "attributes": len(words), "attributes_a_document": longest,
        "told_apart": round(float(np.mean(late)), 4), "start": "all-MiniLM-L6-v2, embeddings and first layers (Apache-2.0)",
    }  # fmt: skip
    with storing(out):
        model.eval().save_pretrained(out)
        tokenizer.save_pretrained(out)
    with atomic_write(out / "limitbench.json") as stream:
        stream.write((json.dumps(card, indent=1) + "\n").encode())
    return card


def _pair(
    draw: Draw, world: World, people: Names, words: Sequence[str], longest: int
) -> tuple[tuple[str, str], tuple[str, str]]:
    """A question with the document that holds the attribute, and with the same one that holds another instead."""
    listed = draw.sample(words, longest + 1)
    other, at = listed.pop(), draw.below(longest)
    name, question = people[draw.below(10_000)], world.question(listed[at])
    holds = world.sentence(name, listed)
    listed[at] = other
    return (question, holds), (question, world.sentence(name, listed))


def _loss(scores: torch.Tensor) -> torch.Tensor:
    """Pairwise logistic loss of scores (2 p,), holder first, and a fifth of the pointwise one, which fixes where 0 lies."""
    softplus = torch.nn.functional.softplus
    good, bad = scores[::2], scores[1::2]
    return softplus(bad - good).mean() + 0.1 * (softplus(-good) + softplus(bad)).mean()


def _started(how: Training) -> tuple[Any, Any]:
    """The untrained model and its tokenizer. Dropout is off: it hides the one word that decides a pair."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    quiet()
    torch.manual_seed(how.seed)
    folder = str(model_source("minilm", None).folder)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1, num_hidden_layers=how.layers, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    return model, AutoTokenizer.from_pretrained(folder)


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name
