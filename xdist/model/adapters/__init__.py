"""Adapters: small modules in the layers of an encoder that stays unchanged."""
