"""Which slice does a sentence mean: selectors taught on some studies, tested on others, beside what needs no model."""
