"""The class whose subclass certifies a storage."""

from .checks.apply import ApplyChecks
from .checks.apply_again import ApplyAgainChecks
from .checks.bind import BindChecks
from .checks.bytes import ByteChecks
from .checks.cancel import CancelChecks
from .checks.capability import CapabilityChecks
from .checks.claim import ClaimChecks
from .checks.error import ErrorChecks
from .checks.faults import FaultChecks
from .checks.hint import HintChecks
from .checks.insert import InsertChecks
from .checks.lease import LeaseChecks, LeaseMoreChecks
from .checks.parents import ParentChecks
from .checks.parents_more import ParentMoreChecks
from .checks.purge import PurgeChecks
from .checks.read import ReadChecks
from .checks.schema import SchemaChecks
from .checks.time import TimeChecks
from .checks.wake import WakeChecks


class StorageConformance(
    InsertChecks,
    ClaimChecks,
    ApplyChecks,
    ApplyAgainChecks,
    ParentChecks,
    ParentMoreChecks,
    WakeChecks,
    CancelChecks,
    LeaseChecks,
    LeaseMoreChecks,
    TimeChecks,
    ReadChecks,
    ByteChecks,
    HintChecks,
    BindChecks,
    PurgeChecks,
    SchemaChecks,
    FaultChecks,
    ErrorChecks,
    CapabilityChecks,
):
    """Every check of the suite; a subclass that defines `open` certifies a storage.

    ```
    class TestFoo(StorageConformance):
        def open(self, namespace: str) -> AbstractAsyncContextManager[Storage]:
            return FooStorage.connect(namespace)
    ```
    """
