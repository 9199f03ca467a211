"""`python -m agn_bench`, the same as `agn-bench`."""

from agn_bench.cli import main

main()
