"""The version, in a module that does not import the package itself."""

__version__ = "0.2.0.dev0"
