"""The same check inside a team's own test suite: `pytest`, or `pytest --limitbench` without this file."""


def test_the_plan_carries_the_workload(limitbench_check):
    """Fails with reason, evidence and remedy where limitbench check would."""
    report = limitbench_check("limitbench.toml")
    assert not [finding for finding in report.shown if finding.evidence == "proved"]
