"""One method of bounding a file: `bounds(case)` gives what it finds, each with a certificate, and looks at the clock."""
