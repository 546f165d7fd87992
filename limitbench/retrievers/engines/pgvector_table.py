"""A table of the user's with a pgvector index, read in one transaction that the server itself keeps from writing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from psycopg import sql

from limitbench.errors import InputError, RetrievalError, SpecError
from limitbench.retrievers.engines.collection import Address, Collection, Ranked, the_one
from limitbench.retrievers.engines.contract import Proof
from limitbench.retrievers.engines.postgres import Session, plan_nodes

_OPERATORS = {"cosine": "<=>", "ip": "<#>", "l2": "<->", "l1": "<+>", "hamming": "<~>", "jaccard": "<%>"}
_SETTING = re.compile(r"[a-z_]+(\.[a-z_]+)?")
_INDEXES = """
    SELECT c.relname, c.oid::regclass::text, am.amname, pg_get_indexdef(i.indexrelid, 1, true), o.opcname, c.reloptions,
        i.indisvalid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam
    JOIN pg_opclass o ON o.oid = i.indclass[0]
    WHERE i.indrelid = %s::regclass AND am.amname IN ('hnsw', 'ivfflat') ORDER BY c.relname
"""
_KEY = """
    SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = %s::regclass AND i.indisprimary AND i.indnatts = 1
"""


@dataclass(frozen=True)
class _Index:
    name: str
    qualified: str
    method: str
    expression: str  # of the rows' vectors, as the index has it
    type: str
    operator: str
    options: dict[str, str]


class PgVectorTable(Collection):
    """One table and one of its indexes; all reads see one state of it."""

    name = "pgvector"

    def __init__(self, address: Address) -> None:
        self.address = address
        self.scans = False  # known of the first exact search
        self.session = Session(self.name, address.dsn_env)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        a, do = self.address, self.session.do
        do("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        do(f"SET LOCAL statement_timeout = {int(1000 * a.timeout)}")
        self.table = sql.Identifier(*a.collection.split("."))
        literal = self.table.as_string(self.session.connection)
        if self.session.one("SELECT to_regclass(%s)", [literal]) is None:
            raise InputError(
                f"engine '{self.name}': there is no table {a.collection}; name it SCHEMA.TABLE, as it is spelt"
            )
        self.index = self._chosen(literal)
        primary = next((name for (name,) in self.session.do(_KEY, [literal])), None)
        row = sql.SQL("tableoid::regclass::text || ' ' || ctid::text")
        self.key: sql.Composable = row
        if a.id is not None and a.id != primary:  # it may name several rows, or none
            self.key = sql.SQL("coalesce({}::text, 'NULL') || ' ' || ").format(sql.Identifier(a.id)) + row
        elif primary is not None:
            self.key = sql.SQL("{}::text").format(sql.Identifier(primary))
        self.session.find_vector_types()
        do(f"SELECT NULL::{self.index.type}")  # loads the library, which then knows its settings
        do("SET LOCAL plan_cache_mode = force_custom_plan")
        for name, value in a.settings.items():
            if not _SETTING.fullmatch(name):
                raise SpecError(
                    f"engine '{self.name}': found the setting {name!r}, expected a name such as hnsw.ef_search"
                )
            self.session.one("SELECT set_config(%s, %s, true)", [name, value])

    def _chosen(self, literal: str) -> _Index:
        found = {}
        for name, qualified, method, expression, ops, options, valid in self.session.do(_INDEXES, [literal]):
            kind, _, measure = ops.removesuffix("_ops").partition("_")
            if valid and measure in _OPERATORS:
                given = dict(option.split("=") for option in options or [])
                found[name] = _Index(name, qualified, method, expression, kind, _OPERATORS[measure], given)
        wanted = self.address.vector
        if wanted not in found:
            of_column = [index for index in found.values() if index.expression.strip('"') == wanted]
            wanted = of_column[0].name if len(of_column) == 1 else wanted
        chosen: _Index = the_one(
            self.name, wanted, found, f"valid hnsw or ivfflat indexes on {self.address.collection}"
        )
        return chosen

    @property
    def rows(self) -> int:
        """The server's estimate; of a small table or one never analysed, the count."""
        known = int(self.session.one("SELECT reltuples::int8 FROM pg_class WHERE oid = %s::regclass", [self._literal]))
        return (
            known if known > 100_000 else int(self.session.one(sql.SQL("SELECT count(*) FROM {}").format(self.table)))
        )

    @property
    def _literal(self) -> str:
        return self.table.as_string(self.session.connection)

    @property
    def _vector(self) -> sql.SQL:
        return sql.SQL(self.index.expression.replace("%", "%%"))

    @cached_property
    def dim(self) -> int:
        """Of the first vector."""
        some = self.session.do(
            sql.SQL("SELECT ({0})::text FROM {1} WHERE {0} IS NOT NULL LIMIT 1").format(self._vector, self.table)
        )
        if not some:
            raise InputError(f"engine '{self.name}': {self.address.collection} has no vector; fill it first")
        text = str(some[0][0])
        return (
            len(text)
            if self.index.type == "bit"
            else int(text.rpartition("/")[2])
            if "/" in text
            else text.count(",") + 1
        )

    def effective(self) -> Mapping[str, Any]:
        """The index and what decides its searches."""
        index, one = self.index, self.session.one
        names = {
            "hnsw": ("hnsw.ef_search", "hnsw.iterative_scan"),
            "ivfflat": ("ivfflat.probes", "ivfflat.iterative_scan"),
        }
        told = {name: one("SELECT current_setting(%s, true)", [name]) for name in names[index.method]}
        return {
            "index": index.method, "name": index.name, "of": index.expression, "operator": index.operator, **index.options,
            **{name: value for name, value in told.items() if value is not None},
            "server": f"PostgreSQL {one('SHOW server_version').partition(' ')[0]}",
            "pgvector": one("SELECT extversion FROM pg_extension WHERE extname = 'vector'"),
        }  # fmt: skip

    def sample(self, count: int, seed: int) -> tuple[list[str], list[Any]]:
        """By a hash of the id and the seed; of a large table, among a share of its rows drawn first."""
        rows = self.rows
        share = min(100.0, 100 * 20 * count / max(1, rows))
        drawn = sql.SQL(f"TABLESAMPLE BERNOULLI ({share:.6f}) REPEATABLE ({int(seed)})" if share < 100 else "")
        found = self.session.do(
            sql.SQL(
                "SELECT {key}, ({v})::text FROM {table} {drawn} WHERE {v} IS NOT NULL ORDER BY md5({key} || %s), {key} LIMIT %s"
            ).format(key=self.key, v=self._vector, table=self.table, drawn=drawn),
            [str(seed), count],
        )
        return [name for name, _ in found], [value for _, value in found]

    def query(self, vector: npt.NDArray[np.float32]) -> Any:
        """pgvector's text; of an index of bits, the signs."""
        if self.index.type == "bit":
            return "".join("1" if value > 0 else "0" for value in vector)
        if self.index.type == "sparsevec":
            raise InputError(f"engine '{self.name}': the index is one of sparse vectors; leave out --queries")
        return "[" + ",".join(map(repr, vector.tolist())) + "]"

    def _statement(self) -> sql.Composed:
        index = self.index
        kind = f"bit({self.dim})" if index.type == "bit" else index.type
        near = sql.SQL(f"{self._vector.as_string()} {index.operator.replace('%', '%%')} %s::{kind}")
        where = (self.address.where or "").replace("%", "%%")
        kept = sql.SQL(f"WHERE ({where})" if where else "")
        return sql.SQL("SELECT {}, {} FROM {} {} ORDER BY {} LIMIT %s").format(self.key, near, self.table, kept, near)

    def search(self, query: Any, depth: int) -> Ranked:
        """As an application's `ORDER BY` with a `LIMIT` does."""
        found = self.session.do(self._statement(), [query, query, depth])
        rows = [row for row in found if row[1] is not None and math.isfinite(row[1])]  # a zero vector has no cosine
        return [name for name, _ in rows], -np.array([distance for _, distance in rows], np.float64)

    def exact(self, query: Any, depth: int) -> Ranked:
        """The same with a scan, whatever plans the server or the role prefers."""
        do = self.session.do
        do("SAVEPOINT indexed")
        for setting, value in (("indexscan", "off"), ("indexonlyscan", "off"), ("seqscan", "on"), ("sort", "on")):
            do(f"SET LOCAL enable_{setting} = {value}")
        if not self.scans and self.proof(query, depth).used:
            raise RetrievalError(
                f"engine '{self.name}': the server does not scan {self.address.collection}: nothing is exact"
            )
        self.scans = True
        found = self.search(query, depth)
        do("ROLLBACK TO SAVEPOINT indexed")
        do("RELEASE SAVEPOINT indexed")
        return found

    @cached_property
    def _names(self) -> set[str]:
        """The index, and its parts on a partitioned table."""
        said = "SELECT relname FROM pg_partition_tree(%s::regclass) JOIN pg_class ON pg_class.oid = relid"
        return {self.index.name, *(name for (name,) in self.session.do(said, [self.index.qualified]))}

    def proof(self, query: Any, depth: int) -> Proof:
        """By the plan that the server chooses."""
        explain = sql.SQL("EXPLAIN (FORMAT JSON) ") + self._statement()
        nodes = list(plan_nodes(self.session.one(explain, [query, query, depth])))
        used = next((node for node in nodes if node.get("Index Name") in self._names), None)
        if used is not None:
            return Proof(True, f"EXPLAIN: {used['Node Type']} using {self.index.name}")
        return Proof(False, f"EXPLAIN: {nodes[-1]['Node Type']}, not {self.index.name}")

    def close(self) -> None:
        """The transaction ends with the connection."""
        with suppress(RetrievalError):
            self.session.close()
