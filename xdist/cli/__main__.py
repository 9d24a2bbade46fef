"""`python -m xdist.cli`: the command where only the interpreter is known, as in a job."""

from xdist.cli import main

main(prog_name="xdist")
