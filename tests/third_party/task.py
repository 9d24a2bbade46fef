"""A task of another's: does a name stand for a place? Lines such as "yes: the old Germany", read by its own function."""

from xdist.errors import UserError
from xdist.formats.examples import Classified
from xdist.formats.lines import read_lines
from xdist.tasks.catalog import Task, register, splits

LABELS, CODES, FILES = ("yes", "no"), ("en", "de", "sw"), splits("place/{split}-{language}.txt")


def read(path, need_gold=False):
    for number, line in read_lines(path):
        label, _, text = line.partition(": ")
        if label not in LABELS:
            raise UserError(f"{path}:{number}: expected 'yes: …' or 'no: …', found {line!r:.40}")
        yield Classified(texts=(text,), label=label)


WHAT = {"labels": LABELS, "languages": CODES, "files": FILES, "read": read}
register(Task(name="place", family="classification", metric="balanced-accuracy", **WHAT))
