"""Starting a run where it shall run: processes on this machine."""
