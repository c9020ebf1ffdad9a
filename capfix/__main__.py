"""`python -m capfix` is the same as `capfix`."""

import sys

from capfix.cli import main

sys.exit(main())
