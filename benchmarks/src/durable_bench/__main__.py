"""`python -m durable_bench`: see `durable_bench.cli`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
