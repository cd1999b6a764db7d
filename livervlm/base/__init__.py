"""What every room stands on: errors, paths, profiles, progress, device, cache, code."""
