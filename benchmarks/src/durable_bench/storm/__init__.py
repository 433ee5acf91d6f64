"""The kill run: workers and servers die by SIGKILL at random moments, and nothing may be lost.

A plan says how much of everything; `carry_out` enqueues, kills, waits until everything has ended
and audits what is there, beside the engine.
"""

from .plan import Plan
from .report import Report
from .storm import StormError, carry_out, in_folder

__all__ = ["Plan", "Report", "StormError", "carry_out", "in_folder"]
