"""tantivy, a full-text engine inside the process: BM25 over an inverted index on disk.

Questions are cut into words by the index's own analyser, and each word is asked for: tantivy's query language would read `id:x`
as a field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tantivy

from limitbench.errors import SpecError
from limitbench.progress import Progress
from limitbench.retrievers.engines.contract import Hits, Proof, Settings, TextEngine

_WORDS = "limitbench"  # the analyser's name
_HEAP = 64_000_000  # bytes that the writer may fill before it flushes
_BATCH = 2000
_K1, _B = 1.2, 0.75  # tantivy's; they cannot be set
_LONGEST = 40  # bytes from which on its default analyser drops a word


class Tantivy(TextEngine):
    """One index. Without `language`, words are lower-cased and not stemmed, as tantivy's default analyser does."""

    name = "tantivy"
    package = "tantivy"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.analyser = _analyser(settings.language)
        self.index: Any = None
        self.searcher: Any = None
        self.texts = 0

    @classmethod
    def check(cls, settings: Settings) -> None:
        """A language is all that can be set."""
        settings.require(cls.name, {"language": None})
        _analyser(settings.language)

    @property
    def exhaustive(self) -> bool:
        """Every document with a word of the question is scored."""
        return True

    def build(self, texts: Sequence[str], progress: Progress) -> None:
        """One writer, one commit; then segments are merged as tantivy does."""
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("text", stored=False, tokenizer_name=_WORDS, index_option="freq")
        schema.add_unsigned_field("number", stored=False, indexed=False, fast=True)
        self.index = tantivy.Index(schema.build(), path=str(self.folder))
        self.index.register_tokenizer(_WORDS, self.analyser)
        writer = self.index.writer(_HEAP, 1)
        for number, text in enumerate(texts):
            document = tantivy.Document()
            document.add_text("text", text)
            document.add_unsigned("number", number)
            writer.add_document(document)
            if (number + 1) % _BATCH == 0 or number + 1 == len(texts):
                progress("insert", number + 1, len(texts))
        writer.commit()
        writer.wait_merging_threads()
        self.texts = len(texts)
        self._look()

    def _look(self) -> None:
        self.index.reload()
        self.searcher = self.index.searcher()

    def search(self, query: str, depth: int) -> Hits:
        """The best documents that hold a word of the text."""
        words = sorted(set(self.analyser.analyze(query)))
        if not words or not self.texts:
            return np.empty(0, np.int64), np.empty(0)
        schema, may = self.index.schema, tantivy.Occur.Should
        asked = tantivy.Query.boolean_query([(may, tantivy.Query.term_query(schema, "text", word)) for word in words])
        hits = self.searcher.search(asked, min(depth, self.texts)).hits
        numbers = self.searcher.fast_field_values("number", [address for _, address in hits])
        return np.array(numbers, np.int64), np.array([score for score, _ in hits], np.float64)

    def proof(self) -> Proof:
        """tantivy has no other way to find a document than its inverted index; so all of them must be in it."""
        found = self.searcher.num_docs
        return Proof(found == self.texts, f"{found} of {self.texts} texts in {self.searcher.num_segments} segments")

    def effective(self) -> Mapping[str, Any]:
        """BM25's constants, which are tantivy's, the language, and the bytes from which on a word is dropped."""
        language = (self.settings.language or "none").lower()
        return {"index": "inverted", "k1": _K1, "b": _B, "language": language, "longest_word": _LONGEST}

    def reopen(self) -> None:
        """Open the index from its folder."""
        self.index = tantivy.Index.open(str(self.folder))
        self.index.register_tokenizer(_WORDS, self.analyser)
        self._look()

    def release(self) -> None:
        """Let go of the index; tantivy closes its files."""
        self.searcher = self.index = None


def _analyser(language: str | None) -> Any:
    words = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    words = words.filter(tantivy.Filter.remove_long(_LONGEST)).filter(tantivy.Filter.lowercase())
    if language is not None:
        try:
            words = words.filter(tantivy.Filter.stemmer(language.lower()))
        except ValueError as error:
            raise SpecError(f"engine 'tantivy': found language={language}: {error}") from None
    return words.build()
