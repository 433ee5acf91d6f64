"""`python -m durable_conformance`: the command line."""

import sys

from .cli import main

sys.exit(main())
