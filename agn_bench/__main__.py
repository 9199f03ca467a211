"""`python -m agn_bench`, the same as `agn-bench`."""

import sys

if not sys.flags.safe_path:  # a file in the working directory is not to be taken for one of Python's own modules
    sys.path.append(sys.path.pop(0))

from agn_bench.cli import main

main()
