"""PostgreSQL's full text search: lexemes in a GIN index, any of a question's found, ranked by `ts_rank`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from psycopg import sql

from limitbench.errors import SpecError
from limitbench.progress import Progress
from limitbench.retrievers.engines.contract import Hits, Proof, Settings, TextEngine
from limitbench.retrievers.engines.postgres import Session, plan_nodes

_BATCH = 1000
# any lexeme of the question; a quote or a backslash in one is doubled, as tsquery's own syntax asks
_ASKED = r"""
    SELECT string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery AS q
    FROM unnest(to_tsvector(%s::regconfig, %s))
"""
_SEARCH = f"""
    WITH asked AS MATERIALIZED ({_ASKED})
    SELECT number, ts_rank(words, q) AS score FROM asked, docs WHERE words @@ q ORDER BY score DESC, number LIMIT %s
"""


class PostgresText(TextEngine):
    """One table in a schema of its own. Without `language`, the server's `default_text_search_config` counts."""

    name = "postgres-text"
    package = "psycopg"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.session = Session(self.name, settings.dsn_env)
        self.texts = 0
        try:
            self.language = self._language()
        except BaseException:
            self.session.close()
            raise

    @classmethod
    def check(cls, settings: Settings) -> None:
        """A language is all that can be set."""
        settings.require(cls.name, {"language": None, "dsn_env": None})

    def _language(self) -> str:
        found = [name for (name,) in self.session.do("SELECT cfgname FROM pg_ts_config ORDER BY cfgname")]
        asked = self.settings.language
        if asked is None:
            return str(self.session.one("SHOW default_text_search_config"))
        if asked.lower() not in found:
            raise SpecError(f"engine '{self.name}': found language={asked}, expected one of {', '.join(found)}")
        return asked.lower()

    @property
    def exhaustive(self) -> bool:
        """Every document with a lexeme of the question is ranked."""
        return True

    def build(self, texts: Sequence[str], progress: Progress) -> None:
        """Texts in batches, then the GIN index."""
        do, self.texts = self.session.do, len(texts)
        self.session.make_schema()
        do("CREATE TABLE docs (number int4 NOT NULL, words tsvector NOT NULL)")
        for start in range(0, len(texts), _BATCH):
            batch = [text.replace("\0", " ") for text in texts[start : start + _BATCH]]  # PostgreSQL's text has no NUL
            do(
                "INSERT INTO docs SELECT number, to_tsvector(%s::regconfig, t) FROM unnest(%s::int4[], %s::text[]) AS x(number, t)",
                [self.language, list(range(start, start + len(batch))), batch],
            )
            progress("insert", start + len(batch), len(texts))
        progress("index", 0, 1)
        do("CREATE INDEX docs_words ON docs USING gin (words)")
        do("ANALYZE docs")
        progress("index", 1, 1)
        self._enter()

    def _enter(self) -> None:
        for setting in ("enable_seqscan = off", "jit = off", "plan_cache_mode = force_custom_plan"):
            self.session.do(f"SET {setting}")

    def search(self, query: str, depth: int) -> Hits:
        """The best documents that hold a lexeme of the text."""
        rows = self.session.do(_SEARCH, [self.language, query.replace("\0", " "), depth])
        return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float64)

    def proof(self) -> Proof:
        """By the plan of a search, and by how many rows there are."""
        rows = self.session.one("SELECT count(*) FROM docs")
        plan = self.session.one(sql.SQL("EXPLAIN (FORMAT JSON) " + _SEARCH), [self.language, "any words", 10])
        nodes = plan_nodes(plan)
        used = next((node["Node Type"] for node in nodes if node.get("Index Name") == "docs_words"), None)
        return Proof(
            used is not None and rows == self.texts, f"EXPLAIN: {used or 'no index'}, {rows} of {self.texts} rows"
        )

    def effective(self) -> Mapping[str, Any]:
        """As the server tells."""
        server = f"PostgreSQL {self.session.one('SHOW server_version').partition(' ')[0]}"
        return {"index": "gin", "rank": "ts_rank", "language": self.language, "server": server}

    @property
    def nbytes(self) -> int:
        """Bytes of the table and its index."""
        return int(self.session.one("SELECT pg_total_relation_size('docs')"))

    def reopen(self) -> None:
        """A new connection."""
        self.session.reconnect()
        self._enter()

    def release(self) -> None:
        """Drop the schema and close the connection."""
        self.session.close()
