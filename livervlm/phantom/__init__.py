"""A phantom of focal liver lesions in multi-phase CT, built from published numbers; the book's default data."""
