"""The version, where nothing that is asked for it needs the package itself."""

__version__ = "0.1.0"
