"""A study: the graph of runs that one description spans, each run done once."""

from xdist.study.expansion import Graph, Node, Point, expand
from xdist.study.facts import Facts

__all__ = ["Facts", "Graph", "Node", "Point", "expand"]
