"""Peak memory of a cluster on this machine: python examples/cluster/memory.py OUT.json, until Ctrl-C or SIGTERM.

Once a second it adds up proportional set sizes: a page that k processes share counts 1/k in each of them. It does so for
each node (a raylet and the processes that it started), for the driver (`limitbench`) and for all of them together. OUT.json
then holds the peaks in GB. Linux only: it reads /proc.
"""

import json
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path


def processes() -> dict[int, tuple[int, str, float]]:
    """Parent, command line and GB of every process that this user may read."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")
            pss = next(line for line in (folder / "smaps_rollup").open() if line.startswith("Pss:"))
        except (OSError, StopIteration):  # ended meanwhile, of another user, or of the kernel
            continue
        found[int(folder.name)] = parent, command, int(pss.split()[1]) / 1e6
    return found


def now() -> dict[str, float]:
    """GB of each node, of the driver and of all."""
    running = processes()
    children = defaultdict(list)
    for pid, (parent, _, _) in running.items():
        children[parent].append(pid)

    def tree(pid: int) -> float:
        return running[pid][2] + sum(tree(child) for child in children[pid])

    raylets = sorted(pid for pid, (_, command, _) in running.items() if command.split(" ")[0].endswith("/raylet"))
    nodes = {f"node {place}": tree(pid) for place, pid in enumerate(raylets, 1)}
    drivers = [gb for _, command, gb in running.values() if "/limitbench " in command and "ray::" not in command]
    others = [gb for _, command, gb in running.values() if "/gcs_server" in command.split(" ")[0]]
    whole = {**nodes, "driver": sum(drivers)}
    return {**whole, "all": sum(whole.values()) + sum(others)}


def stop(*_: object) -> None:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, stop)
peaks: dict[str, float] = {}
try:
    while True:
        for name, gb in now().items():
            peaks[name] = max(peaks.get(name, 0.0), gb)
        time.sleep(1)
except KeyboardInterrupt:
    text = json.dumps({name: round(gb, 2) for name, gb in peaks.items()})
    Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")
    print(text)
