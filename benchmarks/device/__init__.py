"""The groups of device_check.py: each module has `checks(setup)`, its checks by name in the order of their importance."""
