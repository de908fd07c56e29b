"""``python -m shosei``: the same as the command ``shosei``, found without a PATH."""

from shosei.cli.main import main

main()
