"""The one exception that bad input raises."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line for a person: what was given (file, value), what is wrong, what to do.
    """
