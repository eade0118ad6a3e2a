"""`python -m kubernaut.cli`, for where the script is not on the PATH."""

from kubernaut.cli import main

main()
