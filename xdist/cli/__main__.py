"""`python -m xdist.cli`: the command where only the interpreter is known, as in a job."""

from xdist.cli import main

if __name__ == "__main__":
    main(prog_name="xdist")
