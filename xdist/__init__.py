"""xdist: multilingual intermediate and robust training of XLM-R encoders, scored on all of XTREME-R."""

__version__ = "0.1.0"
