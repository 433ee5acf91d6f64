"""The class whose subclass certifies a storage."""

from .checks.claim import ClaimChecks
from .checks.insert import InsertChecks


class StorageConformance(
    InsertChecks,
    ClaimChecks,
):
    """Every check of the suite; a subclass that defines `open` certifies a storage.

    ```
    class TestFoo(StorageConformance):
        def open(self, namespace: str) -> AbstractAsyncContextManager[Storage]:
            return FooStorage.connect(namespace)
    ```
    """
