"""What can be wrong with data, said in one sentence that names the remedy."""


class DataError(ValueError):
    """A data set, an archive or an image cannot be used; the message names the path, the fault and the remedy."""


class ChoiceError(DataError):
    """The caller asked for what there is not: an unknown name, or a number out of range."""

    exit_status = 2


class UnpreparedError(DataError):
    """A known data set has not been prepared below this root; the message holds the command that prepares it."""
