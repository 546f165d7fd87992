"""`limitbench new`: complete, commented files to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limitbench.cli.output import say
from limitbench.errors import InputError

TEMPLATES = {
    "dataset": '''# A dataset that limitbench generates. Use it by its path:
#   limitbench run -d ./my-data.toml -r bm25
#   limitbench generate ./my-data.toml --out my-data
title = "My data"                  # one line, shown in lists
licence = "CC0-1.0"                # of what is generated
card = """
What it is for, and what a reader of its figures has to know.
"""
seed = 0                           # another seed: other words, names and fillers

# Which documents are relevant to which question. docs/datasets.md lists all patterns and their arguments.
[pattern]
kind = "random"                    # or all-k, dense, cycle, disjoint, block, power-law, graph, like
n = 100                            # documents
m = 50                             # questions
k = 2                              # relevant documents of each question; a list is taken in turn
# kind = "like"                    # your own structure and none of your text:
# source = "./my-beir-folder"

# How it is said.
[language]
world = "people"                   # or products, reports (long), german, french, spanish; german/people: two languages
vocabulary = "attributes"          # or inflected, synonyms, composed, everyday; a file of yours: "./words.txt", one a line
per_document = 45                  # attributes that a document lists: a number, or [least, most]
operators = ["one"]                # in turn: one, denies, and, or, not, two-of, and-or, and-not
distractors = 0                    # further documents, relevant to nothing
# decoys = 2                       # per combined question: documents with a part of what is asked for
# denials = 0                      # per question: documents that say they do not have it
# hard_negatives = 0               # per question: documents with both its words; needs vocabulary = "composed"
# asked_at = "anywhere"            # or first, middle, last: where in a document the answer stands
# part = "all"                     # or train, test: halves of the vocabulary that share no last word
# ids = "name"                     # or number
''',
    "suite": """# Datasets x retrievers. Every cell is stored before the next begins, and found again when the suite runs again:
#   limitbench run ./my-suite.toml --results results
title = "My comparison"
datasets = [
  "limit-small-synthetic",         # a name of `limitbench list`
  # "./my-beir-folder",            # corpus.jsonl, queries.jsonl, qrels/test.tsv
  # "./my-data.toml",              # a spec: limitbench new dataset
]
retrievers = [
  "bm25",
  "words=random-tokens,dim=1024",  # a label before the equals sign, options behind the name
  # "ours=dense:./my-model,dim=256,dtype=int8",
  # "hybrid:bm25+minilm,fusion=sum,weights=0.9+0.1",
  # { name = "dense:./my-model", label = "with a prompt", query_prompt = "query: " },
]
measures = "Recall@2,10,nDCG@10"
""",
    "retriever": '''"""A retriever of your own. From Python it works as it is:

    limitbench.evaluate("limit-small-synthetic", Mine(shortest=4))

To use it by name, put it into a package of yours, and install that. In its pyproject.toml:

    [project.entry-points."limitbench.retrievers"]
    mine = "my_package.my_retriever:Mine"

Then: limitbench run -d limit-small-synthetic -r mine,shortest=4
A function from texts to vectors needs none of this: limitbench.evaluate(data, function).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from limitbench.collection import Corpus, Queries
from limitbench.rankings import Run
from limitbench.retrievers import Adapter, IndexFacts, Progress, Retrieved, no_progress


class Mine(Adapter):
    """Counts the words that a query and a document share. Its fields are its options, and its record's configuration."""

    adapter: ClassVar[str] = "mine"
    shortest: int = 1  # characters; shorter words do not count

    def index(self, corpus: Corpus, progress: Progress = no_progress) -> MineIndex:
        """The corpus, made searchable. Everything that a search needs is in the index."""
        words = [_words(text, self.shortest) for text in corpus.contents]
        progress("index", len(corpus), len(corpus))
        return MineIndex(corpus.ids, words, self.shortest)


def _words(text: str, shortest: int) -> set[str]:
    return {word for word in text.lower().split() if len(word) >= shortest}


class MineIndex:
    """What `index` made."""

    def __init__(self, document_ids: tuple[str, ...], words: list[set[str]], shortest: int) -> None:
        self.document_ids, self.words, self.shortest = document_ids, words, shortest

    @property
    def facts(self) -> IndexFacts:
        """What a record says of the index: its bytes, and whatever you add in `more`."""
        return IndexFacts(nbytes=sum(len(word) for row in self.words for word in row))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays to keep on disk; none where indexing again is as quick."""
        return {}

    def search(self, queries: Queries, depth: int, progress: Progress = no_progress) -> Retrieved:
        """The `depth` best documents of each query, and every tie across the cut: `Run.from_scores` sees to it."""
        asked = [_words(text, self.shortest) for text in queries.texts]
        scores = np.array([[len(query & row) for row in self.words] for query in asked], np.float32)
        progress("search", len(queries), len(queries))
        return Retrieved(Run.from_scores(scores, query_ids=queries.ids, document_ids=self.document_ids, depth=depth))
''',
}
NAMES = {"dataset": "my-data.toml", "suite": "my-suite.toml", "retriever": "my_retriever.py"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(new)


def new(
    kind: Annotated[str, typer.Argument(help="dataset, suite or retriever.")],
    out: Annotated[
        Path | None, typer.Option(help="The file; my-data.toml, my-suite.toml or my_retriever.py without.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Write a complete, commented file to start from: a dataset's spec, a suite, or a retriever of your own."""
    from limitbench.files import atomic_write

    if kind not in TEMPLATES:
        raise InputError(f"found '{kind}', expected {', '.join(TEMPLATES)}")
    target = out or Path(NAMES[kind])
    if target.exists() and not overwrite:
        raise InputError(f"{target} is there already; choose another by --out, or add --overwrite")
    with atomic_write(target) as stream:
        stream.write(TEMPLATES[kind].encode())
    start = {
        "dataset": f"limitbench describe {target}",
        "suite": f"limitbench run {target}",
        "retriever": "its first lines",
    }[kind]
    say(f"wrote {target}: a {kind} that works as it is; to try it: {start}")
