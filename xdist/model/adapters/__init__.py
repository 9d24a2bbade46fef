"""Adapters: small modules beside the layers of an encoder that stays as it is."""
