"""What goes wrong for a reason that the user can mend."""


class DemoError(Exception):
    """What is wrong and where, and what to do about it.

    Attributes:
        advice: What to do; may be empty.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice
