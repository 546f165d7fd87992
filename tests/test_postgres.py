"""PostgreSQL end to end: what is left behind, what is told of servers that do not work, and collections that are only read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limitbench import evaluate
from limitbench.errors import InputError, RetrievalError, SpecError, StorageError
from limitbench.evaluation import attached
from limitbench.evaluation.attached import _compared
from limitbench.results import Store
from limitbench.retrievers.engines import engine_class
from limitbench.retrievers.engines.collection import Address
from limitbench.retrievers.engines.contract import Settings

psycopg = pytest.importorskip("psycopg", reason="needs pip install 'limitbench[postgres]'")
pytestmark = pytest.mark.process
SMALL = "limit-small-synthetic"
OURS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'limitbench!_%' ESCAPE '!'"
SECRET = "s3cr3t-of-mine"


@pytest.fixture
def admin(postgres: str):
    """A connection of the database's owner."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        yield connection


@pytest.fixture
def items(admin: Any):
    """A user's table of 3000 vectors with a poor HNSW index, and a role that may only read it."""
    admin.execute("CREATE TABLE items (id text PRIMARY KEY, tenant int, e vector(32))")
    rows = np.random.default_rng(0).standard_normal((3000, 32)).astype(np.float32)
    with admin.cursor() as cursor, cursor.copy("COPY items FROM STDIN") as copy:
        for i, row in enumerate(rows):
            copy.write_row((f"it's {i}%", i % 100, str(row.tolist())))
    admin.execute("CREATE INDEX items_e ON items USING hnsw (e vector_cosine_ops) WITH (m = 4, ef_construction = 8)")
    admin.execute("ANALYZE items")
    admin.execute("CREATE ROLE reader LOGIN")
    admin.execute("GRANT SELECT ON items TO reader")
    yield rows
    admin.execute("DROP TABLE items; DROP ROLE reader")


@pytest.fixture
def as_reader(items: Any, postgres: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The DSN of the role that may only read."""
    monkeypatch.setenv("READER", postgres.replace("//postgres:", "//reader:"))
    return items


# ------------------------------------------------------------------------------------------------------------- own schema


def test_nothing_is_left_and_nothing_else_is_dropped(admin: Any) -> None:
    """A schema goes with its index; one of the user's that looks like ours stays."""
    admin.execute("CREATE SCHEMA limitbench_0badcafe")
    assert evaluate(SMALL, "engine:postgres-text", measures="Recall@2").measures["Recall@2"].mean > 0.95
    assert admin.execute(OURS).fetchall() == [("limitbench_0badcafe",)]
    admin.execute("DROP SCHEMA limitbench_0badcafe")


def test_a_plan_that_scans_is_no_proof(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planner prefers a scan of a small table; without our settings the recall would be the scan's, and that is found out."""
    kind = engine_class("pgvector")
    rows = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
    from pgvector.psycopg import register_vector

    monkeypatch.setattr(kind, "_enter", lambda self: register_vector(self.session.connection))
    engine = kind(Settings())
    engine.build(rows, "cosine", lambda *_: None)
    proof = engine.proof()
    assert not proof.used
    assert "Sort" in proof.how or "Seq Scan" in proof.how
    engine.close()


def test_as_many_rows_as_asked_come_back(postgres: str) -> None:
    """pgvector's default gives 40 rows, its candidates, to a question for 100."""
    rows = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float32)
    for settings in (Settings(), Settings(index="ivfflat", lists=50, probes=1)):
        engine = engine_class("pgvector")(settings)
        engine.build(rows, "euclidean", lambda *_: None)
        numbers, scores = engine.search(rows[0], 100)
        assert len({*numbers}) == 100
        exact = -np.linalg.norm(rows[numbers] - rows[0], axis=1)
        assert scores == pytest.approx(exact, abs=1e-4)
        engine.close()


def test_the_extension_may_be_in_any_schema(admin: Any) -> None:
    """Hosted databases keep extensions apart from `public`."""
    admin.execute("CREATE SCHEMA extensions; ALTER EXTENSION vector SET SCHEMA extensions")
    try:
        found = evaluate(SMALL, "engine:pgvector,of=wordllama,dtype=fp16", measures="Recall@2")
        assert found.measures["Recall@2"].mean > 0.35
    finally:
        admin.execute("ALTER EXTENSION vector SET SCHEMA public; DROP SCHEMA extensions")


# -------------------------------------------------------------------------------------------------------- hostile servers


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("", "set LIMITBENCH_POSTGRES_DSN to its DSN"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/db", "no server answers there"),
        (f"postgresql://u:{SECRET}@no.such.host.invalid/db", "host's name is not known"),
        (f"postgres:{SECRET}@h/db", "no DSN that PostgreSQL understands"),
        (f"postgresql://u:{SECRET}@h:port/db", "limitbench"),
        (f"host=127.0.0.1 port=1 passwrd={SECRET}", "no DSN that PostgreSQL understands"),
    ],
)
def test_a_dsn_that_does_not_work_is_told_without_its_secret(
    dsn: str, says: str, cli, monkeypatch, tmp_path: Path
) -> None:
    """One line, before any text is embedded; the same of a table to attach to."""
    monkeypatch.setenv("LIMITBENCH_POSTGRES_DSN", dsn)
    for arguments in (
        ("run", "-d", SMALL, "-r", "engine:pgvector,of=wordllama", "--results", tmp_path / "r"),
        ("attach", "pgvector", "items"),
    ):
        code, out, err = cli(*arguments)
        assert code == 2
        assert says in err
        assert SECRET not in out + err
        assert len([line for line in err.splitlines() if line.startswith("limitbench:")]) == 1


def test_a_password_that_is_refused_is_not_shown(postgres: str, admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roles and databases that are not there; `psql` tells more."""
    monkeypatch.setenv("LIMITBENCH_POSTGRES_DSN", postgres.replace("//postgres:", f"//nobody:{SECRET}"))
    with pytest.raises(RetrievalError, match="no such database or role") as caught:
        evaluate(SMALL, "engine:postgres-text")
    assert SECRET not in str(caught.value)


def test_a_database_without_the_extension(admin: Any, postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to run, and where; nothing is created."""
    admin.execute("CREATE DATABASE bare")
    monkeypatch.setenv("LIMITBENCH_POSTGRES_DSN", postgres.replace("/postgres?", "/bare?"))
    with pytest.raises(RetrievalError, match="no extension 'vector'; run CREATE EXTENSION vector there"):
        evaluate(SMALL, "engine:pgvector,of=wordllama")
    admin.execute("DROP DATABASE bare WITH (FORCE)")


def test_a_role_that_may_not_create(as_reader: Any, admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right that is missing is named."""
    monkeypatch.setenv("LIMITBENCH_POSTGRES_DSN", os.environ["READER"])
    with pytest.raises(RetrievalError, match="the role needs CREATE on the database"):
        evaluate(SMALL, "engine:postgres-text")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("engine:pgvector,of=wordllama,dtype=int8", "expected one of fp32, fp16, binary"),
        ("engine:pgvector,of=wordllama,ef=1001", "ef=1001, expected 1 to 1000"),
        ("engine:pgvector,of=wordllama,index=ivfflat,ef=40", "no setting 'ef'"),
        ("engine:pgvector,of=wordllama,m=50,ef_construction=60", "ef_construction=60, expected 100 to 1000"),
        ("engine:postgres-text,language=klingon", "language=klingon, expected one of .*english"),
    ],
)
def test_settings_are_refused_in_words(spec: str, says: str, postgres: str) -> None:
    """Before PostgreSQL sees them, and before texts are embedded."""
    with pytest.raises(SpecError, match=says):
        evaluate(SMALL, spec)


def test_dimensions_that_no_index_takes(postgres: str) -> None:
    """HNSW takes 2,000 of fp32 and 4,000 of fp16."""
    engine = engine_class("pgvector")(Settings())
    with pytest.raises(SpecError, match=r"found 2001 dimensions, and its index takes 2000 of fp32; .* dtype=fp16"):
        engine.build(np.ones((2, 2001), np.float32), "dot", lambda *_: None)
    engine.close()


def test_a_full_disk_is_one_line(postgres: str) -> None:
    """The server says so, and so do we."""
    engine = engine_class("postgres-text")(Settings())
    with pytest.raises(StorageError, match="the server's disk is full"):
        engine.session.do("DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$")
    engine.close()


def test_a_server_that_stops_in_mid_search_keeps_what_was_measured(admin: Any, tmp_path: Path, monkeypatch) -> None:
    """One line; records of other retrievers stay, and the next run cleans up."""
    kind = engine_class("pgvector")
    search, calls = kind.search, []

    def stopping(self: Any, query: Any, depth: int) -> Any:
        calls.append(1)
        if len(calls) == 20:
            pid = self.session.one("SELECT pg_backend_pid()")
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])
            time.sleep(0.3)
        return search(self, query, depth)

    monkeypatch.setattr(kind, "search", stopping)
    store = Store(tmp_path / "r")
    from limitbench import load
    from limitbench.evaluation import Options

    options = Options(store=store, measures="Recall@2")
    options.find_or_measure(load(SMALL), options.retriever("bm25"))
    with pytest.raises(RetrievalError, match="closed the connection; .*what was measured is kept"):
        options.find_or_measure(load(SMALL), options.retriever("engine:pgvector,of=wordllama"))
    assert options.find_or_measure(load(SMALL), options.retriever("bm25")).reused
    monkeypatch.undo()
    assert not options.find_or_measure(load(SMALL), options.retriever("engine:pgvector,of=wordllama")).reused
    assert admin.execute(OURS).fetchall() == []


def test_a_process_killed_in_the_middle_of_indexing_starts_clean(
    admin: Any, items: Any, postgres: str, tmp_path: Path
) -> None:
    """The schema that it left is dropped by the next run, which measures; the user's table is as it was."""
    state = "SELECT md5(string_agg(i::text, ',' ORDER BY id)), count(*) FROM items i"
    before = admin.execute(state).fetchall()
    command = [
        sys.executable, "-m", "limitbench", "run", "-d", "limit-synthetic", "-r", "engine:pgvector,of=wordllama,m=64,ef_construction=900",
        "--measures", "Recall@2", "--results", str(tmp_path / "r"),
    ]  # fmt: skip
    child = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        deadline = time.monotonic() + 200
        while not admin.execute("SELECT 1 FROM pg_stat_progress_create_index").fetchall():
            assert child.poll() is None, child.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
        child.stderr.close()
    assert len(admin.execute(OURS).fetchall()) == 1
    end = time.monotonic() + 60
    while admin.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 27746").fetchall():
        assert time.monotonic() < end  # the server looks every two seconds whether its client lives
        time.sleep(0.1)
    found = evaluate(SMALL, "engine:pgvector,of=wordllama", measures="Recall@2")
    assert found.retriever.facts["index_used"].startswith("EXPLAIN: Index Scan")
    assert admin.execute(OURS).fetchall() == []
    assert admin.execute(state).fetchall() == before


# ----------------------------------------------------------------------------------------------------------------- attach


def test_attach_reads_and_never_writes(as_reader: Any, admin: Any, cli) -> None:
    """By a role that may only read: agreement with exact search, its interval, the plan and the settings; the table is as it was."""
    state = "SELECT md5(string_agg(i::text, ',' ORDER BY id)), count(*) FROM items i"
    objects = "SELECT array_agg(oid ORDER BY oid) FROM pg_class"
    before = admin.execute(state).fetchall(), admin.execute(objects).fetchall()
    code, out, _ = cli("attach", "pgvector", "items", "--dsn-env", "READER", "--sample", 60, "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["rows"], told["dim"], told["queries"]) == (3000, 32, 60)
    assert told["index"] == {"used": True, "how": "EXPLAIN: Index Scan using items_e"}
    assert told["settings"]["m"] == "4"
    assert 0.2 < told["agreement"]["low"] < told["agreement"]["mean"] < told["agreement"]["high"] < 0.95
    assert (admin.execute(state).fetchall(), admin.execute(objects).fetchall()) == before
    names, worst = zip(*told["lost"], strict=True)
    assert worst[0] == min(worst) < 1
    assert names[0].startswith("it's ")


def test_attach_counts_what_numpy_counts(as_reader: Any) -> None:
    """Agreement of given queries, by the vectors themselves; more candidates find more."""
    queries = np.random.default_rng(1).standard_normal((40, 32)).astype(np.float32)
    address = Address(collection="items", dsn_env="READER")
    few = attached("pgvector", address, queries=queries)
    many = attached(
        "pgvector", Address(collection="items", dsn_env="READER", settings={"hnsw.ef_search": "1000"}), queries=queries
    )
    assert few.agreement.mean < many.agreement.mean
    unit = as_reader / np.linalg.norm(as_reader, axis=1, keepdims=True)
    with engine_collection(address) as table:
        shares = []
        for query in queries:
            names, _ = table.search(table.query(query), 10)
            best = {f"it's {i}%" for i in np.argsort(-(unit @ query))[:10]}
            shares.append(len(best & {*names}) / 10)
            assert {*table.exact(table.query(query), 10)[0]} == best
    assert few.agreement.mean == pytest.approx(np.mean(shares))


def engine_collection(address: Address) -> Any:
    from limitbench.retrievers.engines import collection_class

    return collection_class("pgvector")(address)


def test_attach_shows_what_a_filter_costs(as_reader: Any, admin: Any) -> None:
    """A condition that few rows meet leaves fewer than were asked for, or the planner scans: both are told."""
    where = Address(collection="items", dsn_env="READER", where="tenant = 3 AND id LIKE '%'")
    found = attached("pgvector", where, sample=10)
    assert not found.index.used  # thirty rows: a scan is cheaper
    admin.execute("ALTER ROLE reader SET enable_seqscan = off; ALTER ROLE reader SET enable_sort = off")
    found = attached("pgvector", where, sample=10)
    assert found.index.used
    assert found.short == 10
    assert found.agreement.mean < 0.5
    mended = Address(
        collection="items", dsn_env="READER", where="tenant = 3", settings={"hnsw.iterative_scan": "strict_order", "hnsw.max_scan_tuples": "100000"},
    )  # fmt: skip
    assert attached("pgvector", mended, sample=10).short == 0


@pytest.mark.parametrize(("least", "code"), [(0.99, 1), (0.05, 0)])
def test_attach_is_a_gate(least: float, code: int, as_reader: Any, cli) -> None:
    """1 where the whole interval is below, 3 where it lies inside, 0 where it is above."""
    given = ("attach", "pgvector", "items", "--dsn-env", "READER", "--sample", 60)
    found, out, err = cli(*given, "--least", least)
    assert found == code
    assert "items_e" in out
    assert ("agreement is below 0.99" in err) == (code == 1)
    told = json.loads(cli(*given, "--json")[1])
    assert cli(*given, "--least", told["agreement"]["mean"])[0] == 3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("nope",), "no table nope"),
        (
            ("items", "--vector", "zz"),
            "found no 'zz' among the valid hnsw or ivfflat indexes on items; name one of items_e",
        ),
        (("items", "--set", "ef"), "expected NAME=VALUE"),
        (("items", "--set", "hnsw.ef_search=0"), "outside the valid range"),
        (("items", "--set", "x; DROP TABLE items=1"), "expected a name such as"),
        (("items", "--where", "nothing = 1"), 'column "nothing" does not exist'),
        (("items", "--where", "true); DELETE FROM items; --"), "PostgreSQL says"),
        (("items", "--id", "zz"), 'column "zz" does not exist'),
        (("pg_class",), "there are no valid hnsw or ivfflat indexes on pg_class"),
    ],
)
def test_attach_refuses_in_words(given: tuple[str, ...], says: str, as_reader: Any, admin: Any, cli) -> None:
    """One line each; nothing is deleted."""
    code, _, err = cli("attach", "pgvector", *given, "--dsn-env", "READER", "--sample", 3)
    assert (code, err.count("limitbench:")) == (2, 1)
    assert says in err
    assert admin.execute("SELECT count(*) FROM items").fetchone() == (3000,)


def test_attach_refuses_queries_of_another_dimension(as_reader: Any, cli, tmp_path: Path) -> None:
    """The shape found and the one expected; files that are none; NaN."""
    address = Address(collection="items", dsn_env="READER")
    for bad, says in (
        (np.ones((3, 31), np.float32), r"shape \(3, 31\), expected \(m, 32\)"),
        (np.full((1, 32), np.nan, np.float32), "NaN"),
        (np.zeros((1, 32), np.float32), "zero"),
    ):
        with pytest.raises(InputError, match=says):
            attached("pgvector", address, queries=bad)
    (tmp_path / "q.npy").write_text("no array")
    code, _, err = cli("attach", "pgvector", "items", "--queries", tmp_path / "q.npy", "--dsn-env", "READER")
    assert (code, "numpy.save" in err) == (2, True)


@pytest.mark.parametrize(
    ("column", "index", "operator"),
    [
        ("halfvec(8)", "hnsw (e halfvec_l2_ops)", "<->"),
        ("bit(8)", "hnsw (e bit_hamming_ops)", "<~>"),
        ("vector(8)", "hnsw ((e::halfvec(8)) halfvec_ip_ops)", "<#>"),
        ("vector(8)", "hnsw ((binary_quantize(e)::bit(8)) bit_hamming_ops)", "<~>"),
        ("vector(8)", "ivfflat (e vector_l2_ops) WITH (lists = 3)", "<->"),
        ("bit(8)", "hnsw (e bit_jaccard_ops)", "<%>"),
    ],
)
def test_attach_reads_every_kind_of_index(column: str, index: str, operator: str, admin: Any) -> None:
    """Columns of halves and bits, indexes on expressions; rows without a vector are left out; without a key, `ctid`."""
    admin.execute(f'CREATE TABLE "Odd name" (e {column})')
    try:
        rng = np.random.default_rng(0)
        for row in rng.standard_normal((50, 8)):
            value = "".join("01"[int(x > 0)] for x in row) if column.startswith("bit") else str(row.tolist())
            admin.execute('INSERT INTO "Odd name" VALUES (%s)', [value])
        admin.execute('INSERT INTO "Odd name" VALUES (NULL)')
        admin.execute(f'CREATE INDEX i ON "Odd name" USING {index}')
        found = attached("pgvector", Address(collection="Odd name"), sample=10, depth=5)
        assert (found.dim, found.queries, found.settings["operator"]) == (8, 10, operator)
        assert found.agreement_by_score.mean >= found.agreement.mean - 1e-9
        given = attached(
            "pgvector", Address(collection="Odd name"), queries=rng.standard_normal((4, 8)).astype(np.float32), depth=5
        )
        assert given.queries == 4
    finally:
        admin.execute('DROP TABLE "Odd name"')


def test_a_score_counts_where_documents_tie() -> None:
    """Of ten equal documents an index may give any; ids overlap by chance, scores do not lose."""
    exact = (["a", "b"], np.array([0.9, 0.5]))
    assert _compared((["a", "c"], np.array([0.9, 0.5])), exact) == (1.0, 1.0, False)
    assert _compared((["a", "c"], np.array([0.9, 0.5 - 1e-9])), exact) == (0.5, 1.0, False)
    assert _compared((["a", "a"], np.array([0.9, 0.9])), exact) == (0.5, 0.5, False)
    assert _compared((["a", "c"], np.array([0.9, 0.4])), exact) == (0.5, 0.5, False)
    assert _compared((["a"], np.array([0.9])), exact) == (0.5, 0.5, True)


def test_a_missing_collection_kind_is_told(cli) -> None:
    """Engines that attach are listed."""
    code, _, err = cli("attach", "tantivy", "items")
    assert (code, "pgvector" in err) == (2, True)
    assert "tantivy" in err


def test_attach_counts_ties_and_leaves_out_what_has_no_answer(admin: Any, monkeypatch: pytest.MonkeyPatch, cli) -> None:
    """Thirty copies of a vector: any ten of them will do; a zero vector has no cosine; an id of several rows names each apart."""
    admin.execute("CREATE TABLE copies (doc int, e vector(4))")
    try:
        rng = np.random.default_rng(0)
        for doc, row in enumerate(rng.standard_normal((20, 4))):
            for _ in range(30):
                admin.execute("INSERT INTO copies VALUES (%s, %s)", [doc, str(row.tolist())])
        for _ in range(30):
            admin.execute("INSERT INTO copies VALUES (NULL, '[0,0,0,0]')")
        admin.execute("CREATE INDEX copies_e ON copies USING hnsw (e vector_cosine_ops)")
        admin.execute("ANALYZE copies")
        admin.execute("SET enable_seqscan = off")
        address = Address(
            collection="copies",
            id="doc",
            settings={"enable_seqscan": "off", "enable_sort": "off", "hnsw.ef_search": "700"},
        )
        found = attached("pgvector", address, sample=600)
        assert found.index.used
        assert found.agreement.mean == found.agreement_by_score.mean > 0.6  # by chance overlap it would be a third
        assert 0 < found.unanswered < 60
        assert found.queries + found.unanswered == 600
    finally:
        admin.execute("DROP TABLE copies")


def test_a_partitioned_tables_index_is_known_by_its_parts(admin: Any) -> None:
    """The plan names the parts' indexes; a table that is scanned decides no gate."""
    admin.execute("CREATE TABLE parts (id int, e vector(4)) PARTITION BY RANGE (id)")
    try:
        for i in range(2):
            admin.execute(f"CREATE TABLE parts{i} PARTITION OF parts FOR VALUES FROM ({100 * i}) TO ({100 * i + 100})")
        for i, row in enumerate(np.random.default_rng(0).standard_normal((200, 4))):
            admin.execute("INSERT INTO parts VALUES (%s, %s)", [i, str(row.tolist())])
        admin.execute("CREATE INDEX parts_e ON parts USING hnsw (e vector_l2_ops)")
        admin.execute("ANALYZE parts")
        settings = {"enable_seqscan": "off", "enable_sort": "off"}
        found = attached("pgvector", Address(collection="parts", vector="parts_e", settings=settings), sample=30)
        assert found.index.used, found.index.how
        assert found.agreement.mean > 0.9
    finally:
        admin.execute("DROP TABLE parts")


def test_two_connections_of_one_schema_never_leave_it_abandoned(admin: Any, postgres: str) -> None:
    """While a connection is renewed, another process finds the schema guarded."""
    from limitbench.retrievers.engines.postgres import Session

    mine, other = Session("pgvector", None), Session("pgvector", None)
    mine.make_schema()
    assert other.drop_abandoned() == []
    mine.reconnect()
    assert other.drop_abandoned() == []
    mine.do("CREATE TABLE still_there (a int)")
    mine.connection.close()
    deadline = time.monotonic() + 20
    while not other.drop_abandoned():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert admin.execute(OURS).fetchall() == []
    other.close()
