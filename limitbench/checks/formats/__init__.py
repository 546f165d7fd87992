"""The formats of a report: one file each, every one a projection of its JSON. `checks.output` has the table."""
