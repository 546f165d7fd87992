"""Datasets of the Hugging Face hub: a pinned revision, fetched once into the hub's own cache."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from limitbench.errors import MissingExtra, OfflineError


def fetch(repo: str, revision: str) -> Path:
    """The local folder of a dataset's jsonl files at that revision.

    Raises `OfflineError`, saying what to do, where it is neither cached nor reachable.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
    except ModuleNotFoundError as error:
        raise MissingExtra("a dataset of the hub", error.name or "huggingface_hub", "hub") from None
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # what went wrong is said once, below
    wanted: dict[str, Any] = {
        "repo_type": "dataset",
        "revision": revision,
        "allow_patterns": ["*.jsonl", "*.jsonl.gz", "qrels/*"],
        "etag_timeout": 5,
    }
    try:
        cached = Path(snapshot_download(repo, local_files_only=True, **wanted))
        if any(cached.glob("corpus.jsonl*")):
            return cached
    except (LocalEntryNotFoundError, OSError, ValueError):
        pass  # not cached yet
    try:
        return Path(snapshot_download(repo, **wanted))
    except RepositoryNotFoundError:
        raise OfflineError(
            f"the hub has no dataset '{repo}' that you may read; check the name and your token"
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OfflineError(
            f"dataset '{repo}' is not cached and the hub cannot be reached ({reason[:120]}); "
            "connect once, or give a folder that holds it: limitbench run -d ./FOLDER"
        ) from None
