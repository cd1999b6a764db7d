"""A phantom of focal liver lesions in multi-phase CT; its numbers are published where there are any."""
