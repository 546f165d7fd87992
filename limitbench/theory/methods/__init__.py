"""One method of bounding a file: `bounds(case)` gives what it finds, each with a certificate.

A method that searches looks at the clock; the others are bounded by the size of what they look at."""
