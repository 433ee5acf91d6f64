"""The class whose subclass certifies a storage."""

from .checks.apply import ApplyChecks
from .checks.apply_again import ApplyAgainChecks
from .checks.cancel import CancelChecks
from .checks.claim import ClaimChecks
from .checks.insert import InsertChecks
from .checks.lease import LeaseChecks, LeaseMoreChecks
from .checks.parents import ParentChecks
from .checks.parents_more import ParentMoreChecks
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
):
    """Every check of the suite; a subclass that defines `open` certifies a storage.

    ```
    class TestFoo(StorageConformance):
        def open(self, namespace: str) -> AbstractAsyncContextManager[Storage]:
            return FooStorage.connect(namespace)
    ```
    """
