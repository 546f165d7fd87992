"""Vectors in PostgreSQL with pgvector, by a DSN that an environment variable holds.

The planner may scan a small table though it has an index, and by default an index gives no more rows than its candidates. So scans
and sorts are switched off for our session, iterative scans on, and the plan of a search is read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pgvector
from pgvector.psycopg import register_vector
from psycopg import sql

from limitbench.errors import RetrievalError, SpecError
from limitbench.progress import Progress
from limitbench.retrievers.engines.contract import ChangeableEngine, Floats, Hits, Numbers, Proof, Settings
from limitbench.retrievers.engines.postgres import Session, plan_nodes

_OPERATORS = {"cosine": ("<#>", "ip"), "dot": ("<#>", "ip"), "euclidean": ("<->", "l2"), "manhattan": ("<+>", "l1")}
_TYPES = {"fp32": "vector", "fp16": "halfvec", "binary": "bit"}
_MOST_DIMENSIONS = {"fp32": 2000, "fp16": 4000, "binary": 64_000}  # of an index
_LISTS = 100  # pgvector has no default; its README starts there


class PgVector(ChangeableEngine):
    """One table in a schema of its own."""

    name = "pgvector"
    package = "psycopg"
    similarities = tuple(_OPERATORS)
    adjustable = ("ef", "probes")

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.session = Session(self.name, settings.dsn_env)
        try:
            self._require_extension()
        except BaseException:
            self.session.close()
            raise
        self.operator = "<#>"
        self.deepest = 1

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Settings of a graph go with hnsw, lists and probes with ivfflat."""
        kind = settings.index or "hnsw"
        own: tuple[str, ...] = {"hnsw": ("m", "ef_construction", "ef"), "ivfflat": ("lists", "probes")}.get(kind, ())
        known = {"index": ("hnsw", "ivfflat", "flat"), "dtype": tuple(_TYPES), "dsn_env": None}
        settings.require(cls.name, {**known, **dict.fromkeys(own)})
        least = {"m": 2, "ef_construction": 2 * (settings.m or 16), "ef": 1, "lists": 1, "probes": 1}
        most = {"m": 100, "ef_construction": 1000, "ef": 1000, "lists": 32768, "probes": 32768}
        for name in own:
            value = getattr(settings, name)
            if value is not None and not least[name] <= value <= most[name]:
                raise SpecError(f"engine '{cls.name}': found {name}={value}, expected {least[name]} to {most[name]}")

    @property
    def kind(self) -> str:
        """The index asked for."""
        return self.settings.index or "hnsw"

    @property
    def dtype(self) -> str:
        """How vectors are stored."""
        return self.settings.dtype or "fp32"

    @property
    def exhaustive(self) -> bool:
        """Without an index, all rows are compared."""
        return self.kind == "flat"

    def _require_extension(self) -> None:
        if self.session.do("SELECT 1 FROM pg_extension WHERE extname = 'vector'"):
            return
        offered = self.session.do("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")
        mend = (
            "run CREATE EXTENSION vector there"
            if offered
            else "install pgvector on the server, then run CREATE EXTENSION vector"
        )
        raise RetrievalError(f"engine '{self.name}': the database has no extension 'vector'; {mend}")

    def build(self, documents: Floats, similarity: str, progress: Progress) -> None:
        """Copy rows in batches, make the index, gather statistics."""
        n, d = documents.shape
        most = _MOST_DIMENSIONS[self.dtype]
        if self.kind != "flat" and d > most:
            raise SpecError(
                f"engine '{self.name}': found {d} dimensions, and its index takes {most} of {self.dtype}; give dim to the vectors, "
                f"or {'dtype=fp16' if self.dtype == 'fp32' and d <= 4000 else 'index=flat'}"
            )
        self.operator, ops = ("<~>", "hamming") if self.dtype == "binary" else _OPERATORS[similarity]
        do, column = self.session.do, f"{_TYPES[self.dtype]}({d})"
        self.session.make_schema()
        self.session.find_vector_types()
        more = "".join(f", {name} int4 NOT NULL" for name in self.attributes)
        do(f"CREATE TABLE docs (number int4 NOT NULL, v {column} NOT NULL{more})")
        self._enter()
        self.insert(np.arange(n), documents, progress)
        if self.kind != "flat":
            progress("index", 0, 1)
            do(f"CREATE INDEX docs_v ON docs USING {self.kind} (v {_TYPES[self.dtype]}_{ops}_ops) {self._with()}")
            progress("index", 1, 1)
        do("ANALYZE docs")

    def _with(self) -> str:
        s = self.settings
        given = (
            {"lists": s.lists or _LISTS} if self.kind == "ivfflat" else {"m": s.m, "ef_construction": s.ef_construction}
        )
        told = ", ".join(f"{name} = {value}" for name, value in given.items() if value is not None)
        return f"WITH ({told})" if told else ""

    def _enter(self) -> None:
        """The session's settings, also after a reconnection."""
        do = self.session.do
        register_vector(self.session.connection)
        do("SELECT '[1]'::vector")  # loads the library, which then knows its settings
        do("SET plan_cache_mode = force_custom_plan")
        if self.kind == "flat":
            return
        for setting in ("enable_seqscan", "enable_sort", "jit"):
            do(f"SET {setting} = off")
        kind, ordered = ("hnsw", "strict_order") if self.kind == "hnsw" else ("ivfflat", "relaxed_order")
        if self.session.one("SELECT current_setting(%s, true)", [f"{kind}.iterative_scan"]) is not None:
            do(f"SET {kind}.iterative_scan = {ordered}")
        self._adjusted()

    def _adjusted(self) -> None:
        s = self.settings
        for name, value in (("hnsw.ef_search", s.ef), ("ivfflat.probes", s.probes)):
            self.session.do(f"SET {name} = {int(value)}" if value is not None else f"RESET {name}")

    def _remove(self, numbers: Numbers) -> None:
        """Dead rows stay in the index until a VACUUM, which is autovacuum's to run."""
        self.session.do("DELETE FROM docs WHERE number = ANY(%s::int4[])", [numbers.tolist()])

    def _add(self, numbers: Numbers, rows: Floats) -> None:
        said = "COPY docs FROM STDIN WITH (FORMAT BINARY)"
        with self.session.talking(), self.session.connection.cursor() as cursor, cursor.copy(said) as copy:
            copy.set_types(["int4", _TYPES[self.dtype], *["int4"] * len(self.attributes)])
            for number, row in zip(numbers.tolist(), rows, strict=True):
                copy.write_row((number, self._value(row), *self._row_attributes(number).values()))

    def _value(self, row: Floats) -> Any:
        if self.dtype == "binary":
            return pgvector.Bit(row > 0)
        return pgvector.HalfVector(row) if self.dtype == "fp16" else pgvector.Vector(row)

    def _search(self, below: Mapping[str, int] = MappingProxyType({})) -> sql.Composed:
        near = sql.SQL(f"v {self.operator} %s")
        ranges = [
            sql.SQL("{} < {}").format(sql.Identifier(name), sql.Literal(int(bound))) for name, bound in below.items()
        ]
        where = sql.SQL("WHERE ") + sql.SQL(" AND ").join(ranges) if ranges else sql.SQL("")
        return sql.SQL("SELECT number, {0} FROM docs {1} ORDER BY {0} LIMIT %s").format(near, where)

    def search(self, query: Floats, depth: int) -> Hits:
        """The best documents by the table's index."""
        self.deepest = max(self.deepest, depth)
        return super().search(query, depth)

    def filtered(self, query: Floats, depth: int, below: Mapping[str, int]) -> Hits:
        """By the table's index, whose rows are passed over until enough meet the condition."""
        value = self._value(query)
        rows = self.session.do(self._search(below), [value, value, depth])
        numbers, distances = (
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1] for row in rows], np.float64),
        )
        return numbers, -distances

    def proof(self) -> Proof:
        """By the plan of a search as deep as any so far, and by how many rows there are."""
        rows = self.session.one("SELECT count(*) FROM docs")
        if self.kind == "flat":
            return Proof(rows == self.points, "no index, as asked for")
        some = self.session.one("SELECT v FROM docs LIMIT 1")
        value = self._value(some.to_numpy()) if self.dtype != "binary" else some
        plan = self.session.one(sql.SQL("EXPLAIN (FORMAT JSON) ") + self._search(), [value, value, self.deepest])
        nodes = list(plan_nodes(plan))
        used = any(node.get("Index Name") == "docs_v" for node in nodes)
        how = f"EXPLAIN: {nodes[-1]['Node Type']}{' on ' + self.kind if used else ''}, {rows} of {self.points} rows"
        return Proof(used and rows == self.points, how)

    def effective(self) -> Mapping[str, Any]:
        """As the server's catalogue and session tell."""
        one = self.session.one
        stored = one(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'docs'::regclass AND attname = 'v'"
        )
        told = {
            "dtype": next(name for name, kind in _TYPES.items() if stored.startswith(kind + "(")),
            "server": f"PostgreSQL {one('SHOW server_version').partition(' ')[0]}",
            "pgvector": one("SELECT extversion FROM pg_extension WHERE extname = 'vector'"),
        }
        if self.kind == "flat":
            return {"index": "flat", **told}
        kind, options = self.session.do(
            "SELECT amname, reloptions FROM pg_class JOIN pg_am ON pg_am.oid = relam WHERE pg_class.oid = 'docs_v'::regclass"
        )[0]
        given = dict(option.split("=") for option in options or [])
        iterative = one("SELECT current_setting(%s, true)", [f"{kind}.iterative_scan"]) or "off"
        if kind == "hnsw":
            graph = {"m": int(given.get("m", 16)), "ef_construction": int(given.get("ef_construction", 64))}
            return {"index": kind, **graph, "ef": int(one("SHOW hnsw.ef_search")), "iterative_scan": iterative, **told}
        parts = {"lists": int(given["lists"]), "probes": int(one("SHOW ivfflat.probes"))}
        return {"index": kind, **parts, "iterative_scan": iterative, **told}

    @property
    def nbytes(self) -> int:
        """Bytes of the table and its index."""
        return int(self.session.one("SELECT pg_total_relation_size('docs')"))

    def reopen(self) -> None:
        """A new connection."""
        self.session.reconnect()
        self.session.find_vector_types()
        self._enter()

    def release(self) -> None:
        """Drop the schema and close the connection."""
        self.session.close()
