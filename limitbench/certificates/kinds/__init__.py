"""One kind of proof a file: each is a function that gives what its data prove about a matrix."""
