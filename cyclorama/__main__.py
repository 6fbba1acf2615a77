"""`python -m cyclorama`: the command."""

from cyclorama.cli import main

main()
