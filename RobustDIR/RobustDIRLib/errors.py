"""The one exception that carries a message meant for the user."""


class InputError(ValueError):
    """What was asked cannot be done with what was given.

    The message is one sentence that names the file or option, what is wrong with it and what to do about it. Options
    are named as Python has them, between backticks: `memory_limit`. The command line turns these into its own, prints
    the sentence alone and exits with code 2; the panel shows it as it is.
    """
