"""`make bench`: each figure is a ratio or difference against a named peer in the same run; medians; never a test."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable


def median_seconds(command: list[str], runs: int = 9, codes: tuple[int, ...] = (0,)) -> float:
    """The median wall time of a whole process, after one warm-up; it must end with one of the codes."""
    taken = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
        if code not in codes:
            raise SystemExit(f"{command} ended with {code}")
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def start_up() -> None:
    """`limitbench --help` over a bare interpreter. Bar: 0.5 s."""
    bare = median_seconds([sys.executable, "-c", "pass"])
    ours = median_seconds([sys.executable, "-m", "limitbench", "--help"])
    light = median_seconds([sys.executable, "-c", "import limitbench"])
    print(f"start-up: python -c pass {bare:.3f} s; import limitbench +{light - bare:.3f} s; "
          f"limitbench --help +{ours - bare:.3f} s (bar: +0.5 s)")  # fmt: skip


def check_speed() -> None:
    """`limitbench check` in the fast tier on the gallery's largest plan-only project, over a bare interpreter. Bar: 1 s."""
    import tempfile
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parent))
    from gallery import PROJECTS

    bare = median_seconds([sys.executable, "-c", "pass"])
    with tempfile.TemporaryDirectory() as folder:
        for name in (
            "LB101 judged sets",
            "clean plan",
        ):  # 1000 judged sets: the largest; and one that closed forms decide
            path = PROJECTS[name].write(Path(folder) / name)
            command = [sys.executable, "-m", "limitbench", "check", "--config", str(path), "-o", f"json={folder}/out"]
            taken = median_seconds(command, codes=(0, 1))
            print(f"check, fast tier, {name}: +{taken - bare:.3f} s over python -c pass (bar: +1 s)")


def theory_scale() -> None:
    """A bracket of a sparse matrix, 10 relevant documents a query. Bars: 60 s and 4 GB at 10^6 x 10^6; linear growth."""
    code = """
import resource, sys, time
import numpy as np
from limitbench.relevance import Qrels
from limitbench.theory import bracket
m = n = int(sys.argv[1]); k = 10
rng = np.random.default_rng(0)
indices = np.sort(rng.integers(0, n, (m, k)), axis=1)
while (bad := (np.diff(indices, axis=1) == 0).any(axis=1)).any():
    indices[bad] = np.sort(rng.integers(0, n, (int(bad.sum()), k)), axis=1)
qrels = Qrels(np.arange(m + 1) * k, indices.ravel(), np.ones(m * k, np.int64), n)
start = time.perf_counter()
found = bracket(qrels, sys.argv[2], budget_s=5)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"{seconds:.1f} s, {peak:.2f} GB, {found.lower.value} to {found.upper.value}")
"""
    for size in (100_000, 1_000_000):
        for notion in ("order_preserving", "sign_rank"):
            done = subprocess.run(
                [sys.executable, "-c", code, str(size), notion], check=True, capture_output=True, text=True
            )
            print(f"bracket, {size:,} queries x {size:,} documents, k = 10, {notion}: {done.stdout.strip()} "
                  "(bars at 1,000,000: 60 s, 4 GB)")  # fmt: skip


def limit_small_bracket() -> None:
    """The two exact ranks of LIMIT-small's matrix. Bar: 5 s."""
    code = "import limitbench as l; q = l.load('limit-small-synthetic').qrels; print(*(l.bracket(q, n).exact for n in " \
           "('sign_rank', 'order_preserving')))"  # fmt: skip
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    print(f"LIMIT-small's matrix: sign rank, order-preserving rank = {found}; "
          f"{median_seconds([sys.executable, '-c', code], 3):.2f} s with start-up (bar: 5 s)")  # fmt: skip


def capacity_speed() -> None:
    """Time to solve of `anneal` against `paper`, one thread each, at n = floor(0.9 published), 4 fresh seeds. Bar: 50x, median."""
    import torch

    from limitbench.capacity import Problem
    from limitbench.capacity.anneal import Annealer
    from limitbench.capacity.fit import published
    from limitbench.capacity.paper import InfoNCE
    from limitbench.capacity.scores import arithmetic

    torch.set_num_threads(1)
    ratios = []
    for d in range(5, 13):
        n = int(0.9 * published()[d])
        problem, row = Problem.all_subsets(n, 2), []
        for seed in range(9000, 9004):
            taken, solved, steps = [], [], []
            for solver in (Annealer(problem, d), InfoNCE(problem, d)):
                start = time.perf_counter()
                with arithmetic():
                    found = solver.attempt([seed])
                solved.append(found.solved)
                steps.append(found.steps)
                taken.append(time.perf_counter() - start)
            row.append((taken[1] / taken[0], *taken, *solved, *steps))
        ratios += [ratio for ratio, *_ in row]
        ours, papers = (statistics.median(r[i] for r in row) for i in (1, 2))
        few, many = (statistics.median(r[i] for r in row) for i in (5, 6))
        print(f"d = {d}, n = {n}: anneal {ours:.3f} s, {few:.0f} steps ({sum(r[3] for r in row)}/4 solved), paper {papers:.3f} s, "
              f"{many:.0f} steps ({sum(r[4] for r in row)}/4 solved), ratio {statistics.median(r[0] for r in row):.0f}x in seconds, "
              f"{statistics.median(r[6] / max(1, r[5]) for r in row):.0f}x in steps", flush=True)  # fmt: skip
    print(f"anneal against paper: {statistics.median(ratios):.0f}x at the median of {len(ratios)} runs (bar: 50x)")


def capacity_minute() -> None:
    """The largest verified n of independent vectors within 60 s of search, fp32, two threads: median and range of five seeds."""
    from limitbench.capacity import Search, Task
    from limitbench.capacity.fit import published

    bars = {4: 36, 5: 64, 6: 121, 8: 163, 10: 206, 12: 390, 16: 329}
    for d, bar in bars.items():
        runs = sorted(Search(Task(d, 2, seed=100 * i, budget_s=60)).run().solved_n or 0 for i in range(5))
        print(f"d = {d}: n = {runs[2]} at the median of five, {runs[0]} to {runs[-1]} (bar: {bar}; published: {published()[d]})",
              flush=True)  # fmt: skip


def capacity_orbit() -> None:
    """The largest verified n of symmetric codes within 60 s of search, fp32, two threads. Bars: 5,000 at d = 6, 8, 12; 10,000 at 16."""
    from limitbench.capacity import Search, Task, orbits
    from limitbench.capacity.fit import published

    for d, bar in {6: 5000, 8: 5000, 12: 5000, 16: 10_000}.items():
        found = Search(Task(d, 2, "orbit", seeds=1, budget_s=60)).run()
        code = found.witness
        assert isinstance(code, orbits.OrbitCode)
        start = time.perf_counter()
        how = orbits.check(code)
        print(f"d = {d}: n = {found.solved_n} in {found.seconds:.0f} s, half-gap {float(code.half_gap):.3g}; checked again with {how} "
              f"in {time.perf_counter() - start:.1f} s (bar: n = {bar}; published: {published()[d]})", flush=True)  # fmt: skip


def orbit_check() -> None:
    """A code of 10,007 documents in 16 dimensions, checked with integers. Bar: 60 s, 2 GB."""
    code = """
import tempfile
from pathlib import Path
from limitbench.capacity.orbit_search import Goal, find
code = find(Goal(10007, 16), float("inf")).code
file = Path(tempfile.mkdtemp()) / "code.json"
code.write(file)
print(file)
"""
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    again = """
import re, sys, time
from pathlib import Path
from limitbench import certificates
start = time.perf_counter()
certificates.check(*certificates.read(Path(sys.argv[1])))
peak = int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])  # ru_maxrss would count the parent's
print(f"{time.perf_counter() - start:.2f} s, {peak / 1e6:.2f} GB")
"""
    shown = subprocess.run(
        [sys.executable, "-c", again, made], check=True, capture_output=True, text=True
    ).stdout.strip()
    print(f"all pairs of 10,007 documents in 16 dimensions, read and checked with integers: {shown} (bars: 60 s, 2 GB)")


def open_cells() -> None:
    """How many questions `design` leaves open on a grid of pairs, without and with the table of symmetric codes."""
    from unittest import mock

    from limitbench.theory import codes, design

    counts, codes_at = [], (4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
    grid = [
        (n, d, dtype, margin)
        for n in (20, 46, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000)
        for d in codes_at
        for dtype in ("real", "fp32", "fp16", "bf16", "int8")
        for margin in (None, 0.001, 0.01, 0.1)
    ]
    for table in ((), codes.codes()):
        with mock.patch.object(codes, "codes", lambda table=table: table):
            codes.kept_by.cache_clear()
            counts.append(sum(design(n, 2, d, dtype, margin).verdict == "open" for n, d, dtype, margin in grid))
    codes.kept_by.cache_clear()
    print(f"open cells of {len(grid)}: {counts[0]} without the table of symmetric codes, {counts[1]} with it")


def generation() -> None:
    """50,000 documents against the authors' notebook algorithm, re-implemented here. Bar: 10 times as fast, documents written out."""
    import tempfile
    from pathlib import Path

    from limitbench.datasets import dataset_spec
    from limitbench.datasets.language import vocabulary
    from limitbench.datasets.spec import table_of
    from limitbench.datasets.stream import write_table

    n, m = 50_000, 1000
    ours, theirs = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            write_table(table_of(dataset_spec("limit-synthetic"), "limit-synthetic"), Path(folder))
            ours.append(time.perf_counter() - start)
    words = list(vocabulary("attributes")[:1850])
    for seed in range(3):
        start = time.perf_counter()
        _notebook(words, n, m, 45, seed)
        theirs.append(time.perf_counter() - start)
    ratio = statistics.median(theirs) / statistics.median(ours)
    print(f"generating {n:,} documents: ours, written to disk, {statistics.median(ours):.1f} s; the notebook's algorithm, in memory, "
          f"{statistics.median(theirs):.1f} s: {ratio:.0f}x (bar: 10x)", flush=True)  # fmt: skip


def _notebook(words: list[str], n: int, m: int, per_document: int, seed: int) -> dict[str, str]:
    """The algorithm of the authors' generate_limit_dataset.ipynb, in our words: dense matrix, sets, one draw at a time."""
    import itertools
    import random

    import numpy as np

    from limitbench.datasets.language import vocabulary

    source = random.Random(seed)
    relevance = np.zeros((m, n), dtype=int)
    for row, pair in enumerate(itertools.islice(itertools.combinations(range(46), 2), m)):
        relevance[row, list(pair)] = 1
    available = list(words)
    source.shuffle(available)
    queries = {row: [available.pop()] for row in range(m)}
    asked = {items[0] for items in queries.values()}
    conflicts: set[frozenset[str]] = set()
    people: dict[int, set[str]] = {person: set() for person in range(n)}
    for row in range(m):
        for person in np.where(relevance[row] == 1)[0]:
            people[person].update(queries[row])
    unused = [word for word in words if word not in asked]
    for person in range(n):
        allowed = {frozenset(queries[row]) for row in np.where(relevance[:, person] == 1)[0]}
        there = len(people[person])
        added: set[str] = set()
        while len(added) + there < per_document:
            item = source.choice(unused)
            safe = True
            for other in people[person].union(added):
                pair = frozenset({other, item})
                if pair in conflicts and pair not in allowed:
                    safe = False
                    break
            if safe:
                added.add(item)
        people[person].update(added)
    first, last = vocabulary("first-names"), vocabulary("last-names")
    names = [f"{source.choice(first)} {source.choice(last)}" for _ in range(2 * n)]
    source.shuffle(names)
    names = list(set(names))
    corpus = {}
    for number, likes in enumerate(list(items) for items in people.values()):
        name = names[number % len(names)]  # our lists of names are shorter than theirs; repeats cost the same
        corpus[f"{name} {number}"] = f"{name} likes {', '.join(likes[:-1])} and {likes[-1]}."
    return corpus


def generation_scale() -> None:
    """Seconds and peak memory of the command at 10^5 and 10^6 documents. Bars at 10^6: 120 s, 500 MB; no growth."""
    import tempfile

    code = """
import re, sys, time
from pathlib import Path
from limitbench.cli import invoke
start = time.perf_counter()
code = invoke(['generate', 'limit-synthetic', '--documents', sys.argv[1], '--out', sys.argv[2], *sys.argv[3:]])
peak = int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])  # ru_maxrss would count the parent's
print(code, f"{time.perf_counter() - start:.1f} s, {peak / 1e3:.0f} MB")
"""
    for n in ("1e5", "1e6"):
        for options in ([], ["--gz"]):
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-c", code, n, folder, *options]
                done = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")[-2]
            print(
                f"generate, {n} documents{' gzipped' if options else ''}: exit {done} (bars at 1e6: 120 s, 500 MB)",
                flush=True,
            )


def _timed(call: Callable[[], object], runs: int = 3) -> float:
    """The median seconds of a call."""
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def retrieval() -> None:
    """50,000 documents x 1000 queries, top 100: bm25 against bm25s (bar 1.2x) and rank-bm25 (bar 30x); exact dense search against
    faiss Flat (bar 1.1x)."""
    import bm25s
    import faiss
    import numpy as np
    import Stemmer

    from limitbench import load
    from limitbench.collection import Queries
    from limitbench.retrievers import retriever
    from limitbench.retrievers.vectors import VectorIndex

    data = load("limit-synthetic")
    stemmer = Stemmer.Stemmer("english")

    def direct() -> None:
        engine = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
        engine.index(
            bm25s.tokenize(list(data.corpus.texts), stopwords="en", stemmer=stemmer, show_progress=False),
            show_progress=False,
        )
        asked = bm25s.tokenize(list(data.queries.texts), stopwords="en", stemmer=stemmer, show_progress=False)
        engine.retrieve(asked, k=100, show_progress=False)

    made = retriever("bm25").retriever
    ours, theirs = _timed(lambda: made.index(data.corpus).search(data.queries, 100)), _timed(direct)
    print(
        f"bm25, index and 1000 queries: ours {ours:.1f} s, bm25s {theirs:.1f} s: {ours / theirs:.2f}x (bar: 1.2x)",
        flush=True,
    )
    part = Queries(data.queries.ids[:40], data.queries.texts[:40])
    index, slow = made.index(data.corpus), retriever("rank-bm25").retriever.index(data.corpus)
    fast, rank = _timed(lambda: index.search(part, 100)), _timed(lambda: slow.search(part, 100), 1)
    print(
        f"bm25 search of 40 queries: ours {fast:.3f} s, rank-bm25 {rank:.2f} s: {rank / fast:.0f}x (bar: 30x)",
        flush=True,
    )
    rng = np.random.default_rng(0)
    v, u = (rng.standard_normal((n, 384)).astype(np.float32) for n in (50_000, 1000))
    exact = VectorIndex.built(tuple(map(str, range(50_000))), v)
    flat = faiss.IndexFlatIP(384)
    flat.add(v)
    names = tuple(map(str, range(1000)))
    ours, theirs = _timed(lambda: exact.search(u, names, 100), 5), _timed(lambda: flat.search(u, 100), 5)
    print(
        f"exact dense search, 384 dimensions: ours {ours:.2f} s, faiss Flat {theirs:.2f} s: {ours / theirs:.2f}x (bar: 1.1x)",
        flush=True,
    )


def sweep_cost() -> None:
    """5 dimensions x 4 dtypes of MiniLM over 2,000 documents against one encode of them. Bar: 1.3x."""
    import os
    import tempfile

    from limitbench import load
    from limitbench.evaluation import Options, sweep
    from limitbench.retrievers import retriever

    data = load("pattern-random")
    retriever("minilm").retriever.index(load("graph-petersen").corpus)  # the model is loaded once for both
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        os.environ["LIMITBENCH_CACHE"] = first
        start = time.perf_counter()
        retriever("minilm").retriever.index(data.corpus)
        one = time.perf_counter() - start
        os.environ["LIMITBENCH_CACHE"] = second
        start = time.perf_counter()
        points = list(
            sweep(
                data,
                "minilm",
                dims=[32, 64, 128, 256, 384],
                dtypes=["fp32", "bf16", "int8", "binary"],
                options=Options(measures="Recall@10"),
            )
        )
        all_points = time.perf_counter() - start
    print(
        f"sweep of {len(points)} points {all_points:.0f} s, one encode of the documents {one:.0f} s: {all_points / one:.2f}x (bar: 1.3x)"
    )


def maxsim_memory() -> None:
    """Peak memory of MaxSim search over 5,000 documents beyond what holds their token vectors. Bound: 400 MB."""
    code = """
import re
from pathlib import Path
import numpy as np, torch
from limitbench.retrievers import maxsim
def hwm(): return int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1e3
rng = np.random.default_rng(0)
tokens = rng.standard_normal((5000 * 166, 384), dtype=np.float32)
index = maxsim.MaxSimIndex(tuple(map(str, range(5000))), tokens, np.arange(5001) * 166, None)
before = hwm()
index.scores([rng.standard_normal((12, 384)).astype(np.float32) for _ in range(32)])
print(f"{index.facts.nbytes / 1e6:.0f} MB of token vectors, {hwm() - before:.0f} MB more while 32 queries are scored")
"""
    print(
        "MaxSim,",
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip(),
        "(bound: 400 MB)",
    )


def _waits(_item: int) -> None:
    time.sleep(0.2)


def cluster_overhead() -> None:
    """40 points of 0.2 s on a local cluster of two cores against a pool of two processes. Bar: 1.5x, start-up said apart."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    import ray

    from limitbench.cluster import Cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    start = time.perf_counter()
    with Cluster("local", cores=2) as cluster:
        started = time.perf_counter() - start
        list(cluster(_waits, range(2)))  # workers are started by their first task
        ours = [_timed(lambda: list(cluster(_waits, range(40))), 1) for _ in range(3)]
    start = time.perf_counter()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_waits, range(2)))
        pooled = time.perf_counter() - start
        peer = [_timed(lambda: list(pool.map(_waits, range(40))), 1) for _ in range(3)]
    a, b = statistics.median(ours), statistics.median(peer)
    print(
        f"40 points of 0.2 s, two cores: cluster {a:.2f} s, process pool {b:.2f} s: {a / b:.2f}x (bar: 1.5x); start-up "
        f"{started:.1f} s and {pooled:.1f} s"
    )


def engine_overhead() -> None:
    """Searching 10,000 x 384 vectors through the adapter against the engine's own client, called directly. Bar: 1.2x."""
    import tempfile
    from pathlib import Path

    import numpy as np
    import qdrant_edge as qdrant

    from limitbench.collection import Corpus, Queries
    from limitbench.retrievers import retriever

    rng = np.random.default_rng(0)
    sides = {"documents": rng.standard_normal((10_000, 384)), "queries": rng.standard_normal((400, 384))}
    names = {side: tuple(f"{side[0]}{i}" for i in range(len(x))) for side, x in sides.items()}
    with tempfile.TemporaryDirectory() as folder:
        for side, x in sides.items():
            np.save(Path(folder) / f"{side}.npy", x.astype(np.float32))
            (Path(folder) / f"{side}.ids").write_text("\n".join(names[side]) + "\n")
        corpus, queries = Corpus(names["documents"], names["documents"]), Queries(names["queries"], names["queries"])
        index = retriever({"name": "engine:qdrant-edge", "of": f"vectors:{folder}"}).retriever.index(corpus)
        shard = index.engine.shard  # type: ignore[attr-defined]  # the same graph for both
        asked = index.source.asked(queries).tolist()  # type: ignore[attr-defined]
        params = qdrant.SearchParams(hnsw_ef=None, exact=False, quantization=None)

        def direct() -> None:
            for query in asked:
                found = shard.search(
                    qdrant.SearchRequest(query=qdrant.Query.Nearest(query, "v"), limit=11, params=params)
                )
                [(point.id, point.score) for point in found]

        index.search(queries, 10)
        pairs = [(_timed(lambda: index.search(queries, 10), 1), _timed(direct, 1)) for _ in range(9)]
    ours, peer = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    ratio = statistics.median(a / b for a, b in pairs)
    print(
        f"engine:qdrant-edge, 400 queries over 10,000 x 384: {ours * 1e3:.0f} ms through the adapter, {peer * 1e3:.0f} ms by the client: "
        f"{ratio:.2f}x (bar: 1.2x)"
    )


def mine_speed() -> None:
    """Mining 200 questions from 10,000 documents of 120 words, beside BM25's index of the same texts. Bar: 60 s."""
    import random
    import resource

    import bm25s

    from limitbench.collection import Corpus
    from limitbench.datasets.mining import mine

    rng = random.Random(0)
    parts = ("lan", "ret", "mos", "dip", "gor", "ben", "tul", "fas", "nir", "kob")
    vocabulary = [a + b + c + d for a in parts for b in parts for c in parts for d in parts]
    words = rng.choices(vocabulary, [1 / (rank + 1) for rank in range(len(vocabulary))], k=10_000 * 120)
    texts = [
        ". ".join(" ".join(words[i : i + 12]) for i in range(at, at + 120, 12)) for at in range(0, len(words), 120)
    ]
    start = time.perf_counter()
    bm25s.BM25().index(bm25s.tokenize(texts, show_progress=False), show_progress=False)
    peer = time.perf_counter() - start
    start = time.perf_counter()
    found = mine(Corpus(tuple(map(str, range(len(texts)))), tuple(texts)))
    taken = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{len(found)} questions from 10,000 documents in {taken:.1f} s (bar: 60 s), {peak:.2f} GB at most; "
        f"bm25s indexes them in {peer:.1f} s"
    )


BENCHES = {
    "mine": mine_speed,
    "start-up": start_up,
    "check-speed": check_speed,
    "limit-small-bracket": limit_small_bracket,
    "theory-scale": theory_scale,
    "capacity-speed": capacity_speed,
    "capacity-minute": capacity_minute,
    "capacity-orbit": capacity_orbit,
    "orbit-check": orbit_check,
    "open-cells": open_cells,
    "retrieval": retrieval,
    "sweep-cost": sweep_cost,
    "maxsim-memory": maxsim_memory,
    "engine-overhead": engine_overhead,
    "cluster-overhead": cluster_overhead,
    "generation": generation,
    "generation-scale": generation_scale,
}


def main() -> None:
    """Run the benches named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(BENCHES), help=", ".join(BENCHES))
    for name in parser.parse_args().names:
        BENCHES[name]()


if __name__ == "__main__":
    main()
