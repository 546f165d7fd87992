"""Points on a cluster: the figures of one process, whatever dies on the way. Needs Ray; clusters are of this machine alone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from limitbench import load
from limitbench.errors import ClusterError, LimitbenchError, SpecError
from limitbench.evaluation import Options, drown, run_all, sweep
from limitbench.progress import raised
from limitbench.results import Result, Store

ray = pytest.importorskip("ray", reason="needs limitbench[ray]")
pytestmark = pytest.mark.process

from limitbench.cluster import Cluster, differing  # noqa: E402  # Ray is optional

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # nodes have no tests
MEMORY = 100 * 2**20


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes with a core each, on loopback."""
    from ray.cluster_utils import Cluster as Nodes

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    nodes = Nodes()
    for _ in range(2):
        nodes.add_node(num_cpus=1, include_dashboard=False, object_store_memory=MEMORY)
    yield nodes.address
    nodes.shutdown()


@pytest.fixture
def two(address: str) -> Iterator[Cluster]:
    with Cluster(address) as cluster:
        yield cluster


def figures(results: list[Result]) -> bytes:
    """What may not differ: digests, means, the value of every query, ranks and sets, in bytes."""
    rows = []
    for r in results:
        told = r.model_dump(mode="json")
        kept = {key: told[key] for key in ("measures", "per_query", "subsets", "notes", "depth")}
        ranks = (
            None if told["breakdown"] is None else {k: v for k, v in told["breakdown"].items() if k != "gaps"}
        )  # scores
        rows.append([r.dataset.sha256, r.retriever.name, r.configuration_digest, kept, ranks])
    return json.dumps(rows, sort_keys=True).encode()


SPECS = ["bm25", "random", "tfidf-items", "random-tokens,dim=32", "bm25,stemmer=none"]


def test_a_suite_gives_the_figures_of_one_process(two: Cluster, tmp_path: Path) -> None:
    """Records equal to the byte in all that is measured; errors are of their cells; what is recorded is not measured again."""
    asked = [*SPECS, "vectors:./nowhere"]
    here = list(run_all(["limit-small-synthetic"], asked, options=Options(measures="Recall@2,10")))
    store = Store(tmp_path)
    options = Options(measures="Recall@2,10", store=store, each=two)
    there = list(run_all(["limit-small-synthetic"], asked, options=options))
    assert [(o.retriever, o.reused, str(o.error)) for o in there] == [(o.retriever, False, str(o.error)) for o in here]
    assert figures([o.result for o in there if o.result]) == figures([o.result for o in here if o.result])
    assert {r.provenance["command"] for r in store} == {o.result.provenance["command"] for o in here if o.result}
    again = list(run_all(["limit-small-synthetic"], SPECS, options=options))
    assert all(o.reused for o in again)


def test_a_sweep_and_a_drowning_give_the_figures_of_one_process(two: Cluster, tmp_path: Path) -> None:
    """Points of a sweep, and corpora that are drawn where they are measured, in their order."""
    plain, other = Options(measures="Recall@2"), Options(measures="Recall@2", each=two, store=Store(tmp_path))
    swept: dict[str, Any] = {"dims": [8, 64], "dtypes": ["fp32", "binary"]}
    here = list(sweep("limit-small-synthetic", "wordllama", options=plain, **swept))
    there = list(sweep("limit-small-synthetic", "wordllama", options=other, **swept))
    assert [point for point, _ in there] == [point for point, _ in here]
    assert figures([r for _, r in there]) == figures([r for _, r in here])
    sizes: dict[str, Any] = {"sizes": [46, 500, 1000], "seeds": 2}
    drowned = list(drown("limit-hard", ["bm25", "wordllama"], options=plain, **sizes))
    elsewhere = list(drown("limit-hard", ["bm25", "wordllama"], options=other, **sizes))
    assert figures(elsewhere) == figures(drowned)
    assert [r.dataset.part_of for r in elsewhere] == [r.dataset.part_of for r in drowned]


def test_a_capacity_sweep_and_an_atlas(two: Cluster, tmp_path: Path) -> None:
    """Searches that end by themselves give the same corpora and witnesses; so do brackets of qrels files."""
    from limitbench.capacity import Task
    from limitbench.capacity.pool import elsewhere
    from limitbench.datasets import write_folder
    from limitbench.theory.atlas import atlas

    tasks = [Task(3, 2, "cyclic", budget_s=60)]
    tasks += [Task(d, 2, "cyclic", n=n, budget_s=60) for d, n in ((4, 30), (5, 12))] + [
        Task(4, 2, "anneal", n=8, budget_s=60)
    ]
    here, there = Store(tmp_path / "here").capacity, Store(tmp_path / "there").capacity
    mine = [here.find_or_solve(task) for task in tasks]
    theirs = list(elsewhere(tasks, there, two))

    def told(record: Any) -> dict[str, Any]:
        return {
            k: v for k, v in record.shown.model_dump(mode="json").items() if k not in ("seconds", "witness", "margin")
        }

    assert [told(r) for r in theirs] == [told(r) for r in mine]
    assert [r.shown.model_dump() for r in elsewhere(tasks, there, two)] == [r.shown.model_dump() for r in theirs], (
        "kept"
    )
    for name in ("graph-petersen", "all-3-of-12"):
        write_folder(load(name), tmp_path / "data" / name)
    alone = {e.name: (e.lower, e.upper) for e in atlas(tmp_path / "data", tmp_path / "a", budget_s=2.0)}
    both = {e.name: (e.lower, e.upper) for e in atlas(tmp_path / "data", tmp_path / "b", budget_s=2.0, each=two)}
    assert both == alone
    assert len(both) == 2


def test_the_largest_margin_of_a_code_is_searched_by_every_seed_apart(two: Cluster, tmp_path: Path) -> None:
    """One record of all seeds, with the best code, in their shares of the time; the command in one process finds it done."""
    from dataclasses import replace

    from limitbench import certificates
    from limitbench.capacity import Search, Task, orbits
    from limitbench.capacity.pool import by_seed, elsewhere, together

    task = Task(6, 2, "orbit", n=20, seeds=3, seed=5, maximise=True, budget_s=6)  # two seconds a seed
    records = Store(tmp_path).capacity
    (record,) = elsewhere([task], records, two)
    (tried,) = record.tried
    assert (list(tried.seeds), tried.solved, record.shown.margin) == ([5, 6, 7], True, tried.margin)
    assert 4 < record.shown.seconds < 9
    code = orbits.read(records.folder / str(record.shown.witness))
    assert code.found["seed"] in (5, 6, 7)
    certificates.check(code.certificate)
    assert records.find(task) == record
    parts = [Search(part).run() for part in by_seed(replace(task, budget_s=1.5))]
    whole = together(task, parts[::-1])
    assert (whole.margin, whole.task, whole.tried[0].seeds) == (
        max(part.margin or 0 for part in parts),
        task,
        (5, 6, 7),
    )
    assert by_seed(Task(6, 2, "orbit", budget_s=1)) == [Task(6, 2, "orbit", budget_s=1)]


def test_a_corpus_is_generated_by_both_nodes(two: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of one process, plain and gzipped."""
    from limitbench.datasets import dataset_spec, stream
    from limitbench.datasets.spec import table_of

    monkeypatch.setattr(stream, "PART", 100)
    table = table_of(dataset_spec("limit-hard"), "limit-hard")
    for gz in (False, True):
        here, there = (tmp_path / f"{name}-{gz}" for name in ("here", "there"))
        plain = stream.write_table(table, here, gz=gz)
        assert stream.write_table(table, there, gz=gz, each=two).sha256 == plain.sha256
        assert [(there / name).read_bytes() for name in plain.files] == [
            (here / name).read_bytes() for name in plain.files
        ]


def test_search_in_shards_gives_the_figures_of_one_process(two: Cluster, tmp_path: Path) -> None:
    """Ten shards of vectors with ties, encoded by both nodes, and BM25 in ten: records equal to the byte."""
    pytest.importorskip("wordllama", reason="needs limitbench[models]")
    from limitbench.evaluation import encode
    from limitbench.retrievers import retriever

    data = load("limit-hard")
    by = retriever("wordllama,dim=4")
    there = encode(data.corpus, by, tmp_path / "there", size=100, each=two)
    assert there == encode(data.corpus, by, tmp_path / "here", size=100)
    for one in there.shards:
        assert (tmp_path / "there" / one.file).read_bytes() == (tmp_path / "here" / one.file).read_bytes()
    url = f"file://{tmp_path / 'url'}"
    assert encode(data.corpus, by, url, size=100, each=two) == there
    specs = [f"shards:{tmp_path / 'there'}", f"shards:{url},index=flat", "bm25,shards=10", "random"]
    alone = run_all(["limit-hard"], specs, options=Options(measures="Recall@2,100"))
    spread = run_all(["limit-hard"], specs, options=Options(measures="Recall@2,100", each=two))
    assert figures([o.result for o in spread if o.result]) == figures([o.result for o in alone if o.result])


def dies_once(place: str, item: int) -> int:
    """Kills its own worker, the first time that item 3 is asked for; notes every call."""
    (Path(place) / f"{item}-{time.monotonic_ns()}").touch()
    if item == 3 and len([name for name in os.listdir(place) if name.startswith("3-")]) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def test_a_worker_that_dies_costs_its_point_alone(two: Cluster, tmp_path: Path) -> None:
    """Its point is made again, and no other is made twice."""
    found = dict(two(partial(dies_once, str(tmp_path)), list(range(8))))
    assert found == {i: i * i for i in range(8)}
    counts = {i: len([name for name in os.listdir(tmp_path) if name.startswith(f"{i}-")]) for i in range(8)}
    assert counts == {i: 2 if i == 3 else 1 for i in range(8)}


def slowly(place: str, item: int) -> tuple[int, str]:
    (Path(place) / f"{item}-{time.monotonic_ns()}").touch()
    time.sleep(0.4)
    return item, ray.get_runtime_context().get_node_id()


def test_a_node_that_dies_costs_what_it_was_at(tmp_path: Path) -> None:
    """In the middle of the work one of two nodes is killed: all points are there, and few were begun twice."""
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes()
    nodes.add_node(num_cpus=1, include_dashboard=False, object_store_memory=MEMORY)
    second = nodes.add_node(num_cpus=1, include_dashboard=False, object_store_memory=MEMORY)
    try:
        with Cluster(nodes.address) as cluster:
            found = {}
            for place, (item, _) in cluster(partial(slowly, str(tmp_path)), list(range(16))):
                found[place] = item
                if len(found) == 5:
                    nodes.remove_node(second, allow_graceful=False)
        assert found == {i: i for i in range(16)}
        assert len(os.listdir(tmp_path)) <= 16 + 3
    finally:
        nodes.shutdown()


def _measured(name: str, place: Path, each: Any = None) -> bytes:
    """What a kind of work gives that may not differ, in bytes; `place` holds its shards."""
    options = Options(measures="Recall@2,100", each=each)
    if name == "sweep":
        return figures(
            [r for _, r in sweep("limit-small-synthetic", "wordllama", options=options, dims=[4, 8, 16, 32])]
        )
    if name == "capacity":
        return _searched(each, place)
    if name == "generate":
        from limitbench.datasets import dataset_spec, stream
        from limitbench.datasets.spec import table_of

        folder = place / ("here" if each is None else "there")
        return stream.write_table(table_of(dataset_spec("limit-hard"), "limit-hard"), folder, each=each).sha256.encode()
    specs = {"suite": SPECS, "shards": [f"shards:{place / 'v'}"], "bm25": ["bm25,shards=10"]}[name]
    found = [o.result for o in run_all(["limit-hard"], specs, options=options)]
    assert None not in found
    return figures([result for result in found if result])


def _searched(each: Any, place: Path) -> bytes:
    """Cells and dimensions of capacity searches that end by themselves."""
    from limitbench.capacity import Task
    from limitbench.capacity.pool import elsewhere

    store = Store(place / ("c" if each is None else "d")).capacity
    tasks = [Task(d, 2, "cyclic", n=20 + d, budget_s=60) for d in (4, 5, 6, 7)] + [Task(4, 2, n=8, budget_s=60)]
    records = [store.find_or_solve(t) for t in tasks] if each is None else elsewhere(tasks, store, each)
    left = {"seconds", "witness", "margin"}
    return json.dumps([r.shown.model_dump(mode="json", exclude=left) for r in records]).encode()


@pytest.mark.parametrize("name", ["suite", "sweep", "shards", "bm25", "capacity", "generate"])
def test_work_survives_a_worker_and_then_a_node(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is killed when the first point is done, one of two nodes at the second: the figures of one process."""
    pytest.importorskip("wordllama", reason="needs limitbench[models]")
    psutil = pytest.importorskip("psutil")
    from ray.cluster_utils import Cluster as Nodes

    from limitbench.datasets import stream
    from limitbench.evaluation import encode
    from limitbench.retrievers import retriever

    monkeypatch.setattr(stream, "PART", 100)
    if name == "shards":
        encode(load("limit-hard").corpus, retriever("wordllama,dim=4"), tmp_path / "v", size=100)
    nodes, killed = Nodes(), []
    there = [nodes.add_node(num_cpus=1, include_dashboard=False, object_store_memory=MEMORY) for _ in range(2)]

    def told(line: str) -> None:
        if " done, " not in line or len(killed) == 2:
            return
        if killed:
            nodes.remove_node(there[1], allow_graceful=False)
            killed.append("node")
            return
        raylets = [psutil.Process(node.all_processes["raylet"][0].process.pid) for node in there]
        for name in ("ray::_done", "ray::IDLE") * 20:  # a busy one, if there is one
            for child in [child for raylet in raylets for child in raylet.children()]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "".join(child.cmdline()).startswith(name):
                        child.kill()
                        killed.append("worker")
                        return
            time.sleep(0.1)

    try:
        with Cluster(nodes.address, told=told) as cluster:
            spread = _measured(name, tmp_path, cluster)
    finally:
        nodes.shutdown()
    assert killed == ["worker", "node"]
    assert spread == _measured(name, tmp_path)


def test_hosts_that_share_nothing_but_a_network(tmp_path: Path) -> None:
    """examples/cluster/hosts.sh: two hosts with addresses, homes and memory of their own give the figures of one process, and go."""
    pytest.importorskip("wordllama", reason="needs limitbench[models]")
    if shutil.which("ip") is None or shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("needs root, iproute2 and unshare")
    tried = subprocess.run(["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "true"], capture_output=True)
    if tried.returncode:
        pytest.skip("this machine lets nobody make network namespaces")
    asked = "limitbench run -d limit-small-synthetic -r bm25 -r random -r wordllama --measures Recall@2,100 --results"
    script = ROOT / "examples" / "cluster" / "hosts.sh"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = f"{asked} /mnt/there --cluster $HEAD && hostname > /mnt/name"
    with (tmp_path / "said").open("w") as said:
        running = subprocess.Popen(
            [str(script), "2", command], cwd=tmp_path, stdout=said, stderr=said, env={**os.environ, "PATH": path}
        )
        try:
            code = running.wait(200)
        finally:
            running.terminate()  # it undoes what it made
            running.wait(30)
    assert code == 0, (tmp_path / "said").read_text()[-2000:]
    assert (tmp_path / "results" / "name").read_text().strip() == "lb200"
    specs = ["bm25", "random", "wordllama"]
    alone = [o.result for o in run_all(["limit-small-synthetic"], specs, options=Options(measures="Recall@2,100"))]
    there = {r.retriever.name: r for r in Store(tmp_path / "results" / "there")}
    assert figures([there[name] for name in specs]) == figures([r for r in alone if r])
    assert not [name for name in os.listdir("/run/netns") if name.startswith(f"lb{running.pid}")]


def test_a_cluster_without_room_says_so(tmp_path: Path) -> None:
    """Shared memory and disk full: what does not fit is one line, sent or coming back; the others go on, and wait for room."""
    import numpy as np
    from ray.cluster_utils import Cluster as Nodes

    nodes, mb = Nodes(), 2**20
    full = {"local_fs_capacity_threshold": 0.01, "local_fs_monitor_interval_ms": 50}  # as of a disk that is full
    nodes.add_node(num_cpus=2, include_dashboard=False, object_store_memory=80 * mb, _system_config=full)
    says = "shared memory, and the disk below it, are full; start its nodes with more --object-store-memory"
    try:
        with Cluster(nodes.address) as cluster:
            with pytest.raises(ClusterError, match=says):
                list(cluster(partial(sized, np.zeros(200 * mb, np.uint8)), [1]))
            items = [np.zeros(30 * mb + i, np.uint8) for i in range(8)]
            assert dict(cluster(len, items, label=len)) == {i: 30 * mb + i for i in range(8)}
            found = dict(cluster(len, [np.zeros(200 * mb, np.uint8), [1]], label=lambda item: f"of {len(item)}"))
            assert found[1] == 1
            assert str(found[0]).startswith("of 209715200: the cluster's shared memory")
            back = dict(cluster(large, [200 * mb, 5]))
            assert len(back[1]) == 5
            assert says in str(back[0])
    finally:
        nodes.shutdown()


def sized(data: Any, item: int) -> int:
    return len(data) + item


def large(size: int) -> bytes:
    return bytes(size)


def test_a_cluster_without_what_is_asked_for_is_refused(address: str) -> None:
    """Two nodes without a GPU: one line, where Ray would wait for ever. An iterator that is left behind starts nothing."""
    with pytest.raises(ClusterError, match="has 0 GPUs, and a point needs 1"), Cluster(address, gpus=1.0):
        pass
    with Cluster(address) as cluster:
        found = cluster(fails, [0, 4])
        next(found)
    found.close()  # type: ignore[attr-defined]  # a generator
    assert not ray.is_initialized()


def test_what_does_not_fit_or_cannot_be_sent_is_said(two: Cluster) -> None:
    """A lock, which no other machine can have, is one line."""
    from threading import Lock

    with pytest.raises(ClusterError, match="cannot be sent to other machines"):
        list(two(partial(slowly, Lock()), [1]))
    assert list(two(fails, [])) == []


def fails(item: int) -> int:
    if item == 1:
        raise SpecError("found 1, expected another")
    if item == 2:
        raise ValueError("of the library")
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


@pytest.mark.parametrize(
    ("item", "kind", "says"),
    [
        (1, SpecError, r"^found 1, expected another$"),
        (2, ClusterError, "it 2: failed on its node .*ValueError.*of the library"),
        (3, ClusterError, "it 3: its worker or node was lost 4 times"),
    ],
)
def test_errors_cross_machines(two: Cluster, item: int, kind: type[LimitbenchError], says: str) -> None:
    """Ours come back as they are; those of libraries, and workers that always die, are one line."""
    found = dict(two(fails, [item, 0, 4], label=lambda one: f"it {one}"))
    assert (found[1], found[2]) == (0, 4), "the others go on"
    with pytest.raises(kind, match=says):
        raise found[0]
    with pytest.raises(kind, match=says):
        list(raised(two(fails, [item], label=lambda one: f"it {one}")))


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1 .*ray start --head"),
        ("somewhere", "expected local, auto, or HOST:PORT"),
        ("127.0.0.1:99999", "no Ray cluster answers"),
    ],
)
def test_an_address_that_does_not_answer_is_said_at_once(address: str, says: str, cli: Any, tmp_path: Path) -> None:
    """Within seconds, in one line, and nothing is written."""
    start = time.monotonic()
    with pytest.raises(ClusterError, match=says), Cluster(address):
        pass
    assert time.monotonic() - start < 20
    code, _, err = cli("run", "-d", "graph-petersen", "-r", "bm25", "--results", tmp_path / "r", "--cluster", address)
    assert (code, err.count("\n")) == (2, 1), err


def test_the_file_for_kubernetes_is_one() -> None:
    """examples/cluster/kuberay.yaml is YAML of KubeRay's kind, with the version of Ray that the tests run and equal images."""
    yaml = pytest.importorskip("yaml")
    told = yaml.safe_load((ROOT / "examples" / "cluster" / "kuberay.yaml").read_text())
    assert (told["apiVersion"], told["kind"]) == ("ray.io/v1", "RayCluster")
    assert told["spec"]["rayVersion"] == ray.__version__
    groups = [told["spec"]["headGroupSpec"], *told["spec"]["workerGroupSpecs"]]
    images = [c["image"] for group in groups for c in group["template"]["spec"]["containers"]]
    assert len(set(images)) == 1
    assert all(isinstance(value, str) for group in groups for value in group["rayStartParams"].values())


def test_other_versions_are_named() -> None:
    """Which packages differ, and how; a node that has them is refused."""
    assert differing({"a": "1", "b": "2"}, {"a": "1", "b": "2"}) == ""
    assert differing({"a": "1", "b": "2"}, {"a": "0"}) == "a 1 here and 0 there, b 2 here and missing there"


def test_a_node_with_other_versions_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has another torch than the nodes of the cluster."""
    from limitbench import cluster, provenance

    monkeypatch.setattr(cluster, "versions", lambda: {**provenance.versions(), "torch": "0.0"})
    with pytest.raises(ClusterError, match="has other versions: torch 0.0 here and 2"), Cluster(address):
        pass
    assert not ray.is_initialized()


def test_the_command_line_starts_and_ends_its_own(tmp_path: Path) -> None:
    """--cluster local: the figures of no cluster, and no process is left, after Ctrl-C neither."""
    command = [sys.executable, "-m", "limitbench", "run", "-d", "limit-small-synthetic", "--json", "--results"]
    asked = ["-r", "bm25", "-r", "random", "--measures", "Recall@2"]
    plain = subprocess.run([*command, str(tmp_path / "a"), *asked], capture_output=True, text=True, check=True)
    there = subprocess.run(
        [*command, str(tmp_path / "b"), *asked, "--cluster", "local"], capture_output=True, text=True
    )
    assert there.returncode == 0, there.stderr
    rows = [[row["measures"] for row in json.loads(done.stdout)["results"]] for done in (plain, there)]
    assert rows[0] == rows[1]
    drowning = [
        sys.executable,
        "-m",
        "limitbench",
        "drown",
        "-d",
        "limit-synthetic",
        "-r",
        "bm25",
        "--cluster",
        "local",
    ]
    running = subprocess.Popen(
        [*drowning, "--seeds", "5", "--results", str(tmp_path / "c")], stderr=subprocess.PIPE, start_new_session=True
    )
    for _ in range(600):
        if list((tmp_path / "c").glob("*/*/*.json")) or running.poll() is not None:
            break
        time.sleep(0.1)
    assert running.poll() is None, running.stderr and running.stderr.read()
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    kept = list((tmp_path / "c").glob("*/*/*.json"))
    assert kept
    for _ in range(100):
        left = of_session(running.pid)
        if not left:
            break
        time.sleep(0.1)
    assert left == []


def of_session(session: int) -> list[str]:
    """The processes of a session that are alive."""
    told = subprocess.run(["ps", "-eo", "sid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in told.splitlines()]
    return [row[2] for row in rows if int(row[0]) == session and not row[1].startswith("Z")]


def test_what_does_not_go_together_is_said(cli: Any, tmp_path: Path) -> None:
    """A pool and a cluster at once."""
    code, _, err = cli("capacity", "--dim", "4", "--jobs", 2, "--cluster", "local", "--results", tmp_path)
    assert (code, "--cluster together with --jobs" in err) == (2, True), err
