"""The pytest plugin: a `limitbench_check` fixture, and `--limitbench` to collect a limitbench.toml as tests, one a finding.

pytest loads it in every session where limitbench is installed, so nothing here imports limitbench before it is asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from limitbench.checks import Finding, Report

_LONGEST = 3600.0  # seconds that a worker waits for another one's check


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --limitbench and its tier."""
    group = parser.getgroup("limitbench")
    group.addoption("--limitbench", action="store_true", help="collect every limitbench.toml: the check as a test")
    group.addoption("--limitbench-tier", default="auto", choices=("fast", "auto", "full"), help="what the check may do")
    group.addoption(
        "--limitbench-no-exec", action="store_true", help="run no command and no Python of the configuration"
    )


@pytest.fixture
def limitbench_check(pytestconfig: pytest.Config) -> Callable[..., Report]:
    """`limitbench_check("limitbench.toml", select=["LB1"])`: the report, after an assertion that it passed.

    Keywords are those of `limitbench.check`; `must_pass=False` leaves the assertion out.
    """

    def call(config: Path | str = "limitbench.toml", *, must_pass: bool = True, **options: Any) -> Report:
        from limitbench.checks import Report, check
        from limitbench.checks.formats.text import text

        tier = {
            "tier": pytestconfig.getoption("--limitbench-tier"),
            "no_exec": pytestconfig.getoption("--limitbench-no-exec"),
        }
        given = {**tier, **options}

        def make() -> str:
            return check(config, **given).model_dump_json()

        place = Path(config).resolve() if isinstance(config, str | Path) else config
        key = f"{place} {sorted(given.items(), key=str)}"
        report = Report.model_validate_json(once(pytestconfig, key, make))
        if must_pass and report.exit_code:
            pytest.fail(text(report), pytrace=False)
        return report

    return call


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A limitbench.toml, where --limitbench is given."""
    if file_path.name == "limitbench.toml" and parent.config.getoption("--limitbench"):
        found: pytest.Collector = ConfigFile.from_parent(parent, path=file_path)
        return found
    return None


class ConfigFile(pytest.File):
    """A configuration: one test for each finding that fails the check, one for the check as a whole."""

    def collect(self) -> Iterator[pytest.Item]:
        """The check is made here, once, so that each of its findings can be a test with its own name."""
        from limitbench.checks import Report, check
        from limitbench.errors import LimitbenchError

        option = self.config.getoption

        def make() -> str:
            try:
                return check(
                    self.path, tier=option("--limitbench-tier"), no_exec=option("--limitbench-no-exec")
                ).model_dump_json()
            except Exception as error:  # whatever it is, the other workers must not wait for it
                said = (
                    str(error)
                    if isinstance(error, LimitbenchError)
                    else f"internal error ({type(error).__name__}: {error})"
                )
                return json.dumps({"error": said})

        made = json.loads(once(self.config, str(self.path), make))
        if set(made) == {"error"}:
            raise self.CollectError(made["error"])
        report = Report.model_validate(made)
        for number, finding in enumerate(f for f in report.shown if f.fails):
            name = f"{finding.about or finding.rule} {finding.subject}"
            yield FindingItem.from_parent(self, name=name if number == 0 else f"{name} ({number + 1})", finding=finding)
        yield CheckItem.from_parent(self, name="limitbench check", report=report)


def once(config: pytest.Config, key: str, make: Callable[[], str]) -> str:
    """What `make` gives, made once in a session for a key: under pytest-xdist one worker makes it, and the others read it."""
    worker = getattr(config, "workerinput", None)
    if worker is None:
        return make()
    name = hashlib.sha256(f"{worker['testrunuid']} {key}".encode()).hexdigest()
    factory = getattr(
        config, "_tmp_path_factory", None
    )  # its folder is shared by the workers, and pytest clears it away
    folder = Path(tempfile.gettempdir()) if factory is None else factory.getbasetemp().parent
    place = folder / f"limitbench-{name}.json"
    lock = place.with_suffix(".lock")
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        deadline = time.monotonic() + _LONGEST
        while time.monotonic() < deadline and (place.exists() or lock.exists()):
            if place.exists():
                return place.read_text(encoding="utf-8")
            time.sleep(0.05)
        return make()  # whoever was to make it is gone
    try:
        found = make()
    except BaseException:
        lock.unlink(missing_ok=True)
        raise
    part = place.with_suffix(".part")
    part.write_text(found, encoding="utf-8")
    part.replace(place)
    return found


class FindingItem(pytest.Item):
    """One finding of severity error, or a check that could not be decided: a test that fails."""

    def __init__(self, *, finding: Finding, **given: Any) -> None:
        super().__init__(**given)
        self.finding = finding

    def runtest(self) -> None:
        """Fail with the finding's reason."""
        finding = self.finding
        pytest.fail(f"{finding.rule} [{finding.evidence}] {finding.message}\n{finding.remedy}", pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The configuration and the finding's line."""
        return self.path, self.finding.line - 1, self.name


class CheckItem(pytest.Item):
    """The check as a whole: passes exactly where its exit code is 0."""

    def __init__(self, *, report: Report, **given: Any) -> None:
        super().__init__(**given)
        self.report = report

    def runtest(self) -> None:
        """Fail with the summary where the exit code is not 0."""
        from limitbench.checks.formats.text import summary

        if self.report.exit_code:
            pytest.fail(f"exit code {self.report.exit_code}: {summary(self.report)}", pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where pytest says that the item stands: the configuration."""
        return self.path, 0, self.name
