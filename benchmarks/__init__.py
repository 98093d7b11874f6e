"""authdb against its peers: ``python -m benchmarks``, or ``make bench`` and ``make bench-full``."""
