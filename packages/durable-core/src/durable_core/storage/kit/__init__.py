"""Small pieces that storage authors share; standard library only."""

from ..quick import changed
from .batches import in_chunks, split_families
from .build import born, born_held, child_parent_check
from .deciding import Applying, Waking, cancel_one
from .ending import cut_off
from .limits import (
    check_apply,
    check_cancel,
    check_claim,
    check_executor,
    check_insert,
    check_wake,
)
from .listening import Listener, Listeners, SharedSource
from .mailboxes import Mailbox, Mailboxes, Message, key_bytes
from .rows import Rows
from .transitions import fresh_children, refusal, values_of

__all__ = [
    "Applying",
    "Listener",
    "Listeners",
    "Mailbox",
    "Mailboxes",
    "Message",
    "Rows",
    "SharedSource",
    "Waking",
    "born",
    "born_held",
    "cancel_one",
    "changed",
    "check_apply",
    "check_cancel",
    "check_claim",
    "check_executor",
    "check_insert",
    "check_wake",
    "child_parent_check",
    "cut_off",
    "fresh_children",
    "in_chunks",
    "key_bytes",
    "refusal",
    "split_families",
    "values_of",
]
