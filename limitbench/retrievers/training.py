"""A small cross-encoder of our own, trained on LIMIT-format text that shares no attribute with the test set.

It stands in where no trained reranker can be had, and says so. It starts from the embeddings and the first layers of packaged
MiniLM and learns one thing: whether a list holds what a question names. Trained by steps, not by seconds, so a seed gives the same
model on the same machine and versions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limitbench.collection import Dataset
from limitbench.datasets.draw import Draw
from limitbench.datasets.language import WORLD_FORMS, People, parse_expression, vocabulary
from limitbench.errors import InputError, SpecError
from limitbench.files import require_writable
from limitbench.retrievers.dense import model_source, quiet

Watch = Callable[[int, int, float], None]  # steps done, of, mean loss of late


def stems(text: str) -> set[str]:
    """The words of an attribute without plural endings."""
    return {word.removesuffix("s").removesuffix("e") for word in re.findall(r"\w+", text.lower())}


def free_attributes(exclude: Iterable[Dataset]) -> list[str]:
    """Attributes of our vocabulary that share no word with any attribute that these datasets list or ask for."""
    taken: set[str] = set()
    for data in exclude:
        listed = {item for text in data.corpus.texts for world in WORLD_FORMS for item in world.listed(text)}
        asked = {
            item
            for text in data.queries.texts
            for world in WORLD_FORMS
            for item in parse_expression(world.asked(text), listed)[1]
        }
        for item in listed | asked:
            taken |= stems(item)
    return [word for word in vocabulary("attributes") if not stems(word) & taken]


def train_reranker(
    out: Path, *, exclude: Iterable[Dataset] = (), steps: int = 731, seed: int = 0, layers: int = 2, rate: float = 3e-4,
    batch: int = 32, watch: Watch | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train, write the model's folder, and return what is recorded of it in limitbench.json.

    Raises `InputError` for steps or layers that make no model, `SpecError` where too few attributes are free.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if steps < 1 or not 1 <= layers <= 6 or batch < 2:
        raise InputError(
            f"found steps={steps}, layers={layers}, batch={batch}; expected at least 1 step, 1 to 6 layers, 2 pairs"
        )
    excluded = list(exclude)
    names = sorted(data.name for data in excluded)
    words = free_attributes(excluded)
    if len(words) < 200:
        raise SpecError(
            f"only {len(words)} attributes share no word with {', '.join(names)}; expected at least 200 to train on"
        )
    require_writable(out)
    quiet()
    torch.manual_seed(seed)
    folder = str(model_source("minilm", None).folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, num_hidden_layers=layers)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, pct_start=0.1)
    draw, world = Draw(seed), People()
    late: list[float] = []
    for step in range(steps):
        # lists grow from a few attributes to LIMIT's 45: matching is learnt on short ones first
        most = 4 + round(41 * min(1.0, 1.5 * step / steps))
        pairs, labels = [], []
        for number in range(batch):
            listed = draw.sample(words, most + 1)
            asked = listed.pop() if number % 2 else listed[draw.below(most)]
            pairs.append((world.question(asked), world.sentence(f"Person {draw.below(10_000)}", listed)))
            labels.append(1.0 - number % 2)
        inputs = tokenizer(
            *map(list, zip(*pairs, strict=True)), padding=True, truncation=True, max_length=256, return_tensors="pt"
        )
        scores = model(**inputs).logits.squeeze(1)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.tensor(labels))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        late = [*late[-49:], float(loss.detach())]
        if watch and (step % 10 == 9 or step == steps - 1):
            watch(step + 1, steps, float(np.mean(late)))
    model.eval()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    told = {
        "label": "trained by limitbench on LIMIT-format text without the excluded datasets' attributes; not a general reranker",
        "steps": steps, "seed": seed, "layers": layers, "rate": rate, "batch": batch, "attributes": len(words),
        "excluded": names, "start": "embeddings and first layers of all-MiniLM-L6-v2", "last_loss": round(float(np.mean(late)), 4),
    }  # fmt: skip
    (out / "limitbench.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told
