"""Problems that would stop runs on a machine or a cluster: one file per kind of check, each finding with what to do about it.

Every file measures in one function and judges in another, which is pure.
"""
