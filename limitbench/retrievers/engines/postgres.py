"""A connection to PostgreSQL, with a schema of its own that goes when the connection is closed.

A schema is named `limitbench_` and eight hex digits, and guarded by a shared advisory lock of its session. The server frees that
lock when a process dies. So the next start drops the schemas that killed processes left, and nothing else.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import errors as pg
from psycopg import sql

from limitbench.errors import RetrievalError, SpecError, StorageError

DSN_ENV = "LIMITBENCH_POSTGRES_DSN"
PREFIX = "limitbench_"
_COMMENT = "Made by limitbench; it is dropped when the process that made it ends."
_LOCKS = 0x6C62  # the class of our advisory locks
_OURS = re.compile(rf"{PREFIX}[0-9a-f]{{8}}")


class Session:
    """One connection in autocommit. Errors come as `LimitbenchError`s of one line, in which no part of the DSN is."""

    def __init__(self, engine: str, dsn_env: str | None) -> None:
        self.engine = engine
        self.dsn_env = dsn_env or DSN_ENV
        self.schema = ""
        self.connection = self._connected()

    def _connected(self) -> psycopg.Connection[Any]:
        dsn = os.environ.get(self.dsn_env, "").strip()
        if not dsn:
            raise SpecError(
                f"engine '{self.engine}' needs a PostgreSQL server: set {self.dsn_env} to its DSN "
                "(postgresql://USER:PASSWORD@HOST/DATABASE), or name another environment variable by dsn_env"
            )
        try:
            return psycopg.connect(dsn, autocommit=True, connect_timeout=10, application_name="limitbench")
        except psycopg.Error as error:
            raise RetrievalError(  # the driver's words may hold parts of the DSN
                f"engine '{self.engine}': no connection by the DSN in {self.dsn_env}: {_reason(error)}; "
                f'psql "${self.dsn_env}" tells more'
            ) from None

    @contextmanager
    def talking(self) -> Iterator[None]:
        """What the server says in a block, as an error of one line."""
        try:
            yield
        except pg.DiskFull:
            raise StorageError(
                f"engine '{self.engine}': the server's disk is full; free some room there and run again"
            ) from None
        except pg.QueryCanceled:
            raise RetrievalError(
                f"engine '{self.engine}': a statement took longer than the server or --timeout allows; give it more time"
            ) from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if self.connection.closed or isinstance(error, (pg.AdminShutdown, pg.CrashShutdown)):
                raise RetrievalError(
                    f"engine '{self.engine}': the server closed the connection; start it and run again: what was measured is kept"
                ) from None
            raise RetrievalError(f"engine '{self.engine}': PostgreSQL says: {_first_line(error)}") from None
        except psycopg.Error as error:
            raise RetrievalError(f"engine '{self.engine}': PostgreSQL says: {_first_line(error)}") from None

    def do(self, statement: sql.SQL | sql.Composed | str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a statement gives; none of one that gives none."""
        with self.talking():
            composed = sql.SQL(statement) if isinstance(statement, str) else statement
            found = self.connection.execute(composed, values or None)
            return found.fetchall() if found.description is not None else []

    def one(self, statement: sql.SQL | sql.Composed | str, values: Sequence[Any] = ()) -> Any:
        """The first column of the first row."""
        return self.do(statement, values)[0][0]

    def make_schema(self) -> None:
        """Drop what killed processes left; then make a schema, which unqualified names then mean."""
        self.drop_abandoned()
        self.schema = PREFIX + secrets.token_hex(4)
        self.one("SELECT pg_advisory_lock_shared(%s, %s)", _lock(self.schema))
        name = sql.Identifier(self.schema)
        try:
            self.do(sql.SQL("CREATE SCHEMA {}").format(name))
        except RetrievalError as error:
            raise RetrievalError(
                f"{error}; the role needs CREATE on the database, for a schema that goes with the run"
            ) from None
        self.do(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, _COMMENT))
        self._enter()

    def _enter(self) -> None:
        self.do(sql.SQL("SET search_path = {}").format(sql.Identifier(self.schema)))
        self.do("SET statement_timeout = 0")  # a role's is meant for its application
        with suppress(RetrievalError):  # PostgreSQL 14 and later: a killed client's work is ended
            self.do("SET client_connection_check_interval = '2s'")

    def find_vector_types(self) -> None:
        """Let unqualified names mean pgvector's types and operators too, whatever schema the extension is in."""
        self.do(
            "SELECT set_config('search_path', current_setting('search_path') || ', ' || quote_ident(nspname), false) "
            "FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'"
        )

    def drop_abandoned(self) -> list[str]:
        """Drop the schemas that limitbench made in this database and whose process is gone; their names."""
        found = self.do(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'limitbench!_%%' ESCAPE '!' AND obj_description(oid) = %s "
            "AND pg_has_role(nspowner, 'USAGE')",
            [_COMMENT],
        )
        gone = []
        for (name,) in found:
            if _OURS.fullmatch(name) and self.one("SELECT pg_try_advisory_lock(%s, %s)", _lock(name)):
                self.do(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
                self.one("SELECT pg_advisory_unlock(%s, %s)", _lock(name))
                gone.append(name)
        return gone

    def reconnect(self) -> None:
        """Another connection to the same schema, which shares the lock before the old one goes: nobody takes it for abandoned."""
        old = self.connection
        self.connection = self._connected()
        if self.schema:
            self.one("SELECT pg_advisory_lock_shared(%s, %s)", _lock(self.schema))
            self._enter()
        old.close()

    def close(self) -> None:
        """Drop the schema and close the connection; a server that is gone leaves it to the next start."""
        if not self.connection.closed:
            with suppress(RetrievalError, StorageError):
                if self.schema:
                    self.do(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self.schema)))
            self.connection.close()


def plan_nodes(explained: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The nodes of what EXPLAIN (FORMAT JSON) gave, the outermost first."""
    waiting = [explained[0]["Plan"]]
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting += node.get("Plans", ())


def _lock(schema: str) -> tuple[int, int]:
    """The two numbers of a schema's advisory lock; each must be a signed 32-bit integer."""
    number = int(schema.removeprefix(PREFIX), 16)
    return _LOCKS, number - (1 << 32) if number >= 1 << 31 else number


_REASONS = (
    # a piece of libpq's message          what it means
    ("password authentication failed", "the server refuses the user or the password"),
    ("no password supplied", "the server asks for a password"),
    ("Peer authentication failed", "the server refuses the user"),
    ("no pg_hba.conf entry", "the server does not let this host in"),
    ("does not exist", "there is no such database or role"),
    ("Connection refused", "no server answers there"),
    ("No such file", "no server answers there"),
    ("timeout", "no answer within 10 s"),
    ("resolve", "the host's name is not known"),
    ("translate host", "the host's name is not known"),
    ("starting up", "the server is starting up"),
    ("too many", "the server has too many connections"),
)


def _reason(error: psycopg.Error) -> str:
    """Why there is no connection, in words of our own."""
    if isinstance(error, psycopg.ProgrammingError):
        return "it is no DSN that PostgreSQL understands"
    text = str(error)
    return next((meaning for piece, meaning in _REASONS if piece in text), "the server or the network refuses")


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
