"""How many different attributes the distractors of generated datasets list: `python examples/distractor_words.py NAME...`.

Few of them make distractors easy: they share few words with any question.
"""

from __future__ import annotations

import re
import sys

import limitbench


def listed(text: str) -> set[str]:
    """The attributes of "NAME likes A, B and C."."""
    return set(re.split(r", | and ", text.partition(" likes ")[2].rstrip(".")))


for name in sys.argv[1:]:
    data = limitbench.load(name)
    relevant = set(data.qrels.relevant.indices.tolist())
    distractors = [text for number, text in enumerate(data.corpus.texts) if number not in relevant]
    words = set().union(*map(listed, distractors))
    print(f"{name}: {len(distractors):,} distractors list {len(words):,} different attributes")
