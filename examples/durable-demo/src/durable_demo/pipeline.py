"""The pipeline: everything that a user of durable writes.

Tasks are plain functions. Each call of them is kept in the storage, so any worker can run it, run
it again, or go on where a worker died. `@staged` is the demo's own: it makes trouble on purpose.
"""

from datetime import timedelta

from durable_core import FanOut, Joined, RetryPolicy, Tasks

from . import report, text
from .model import Approval, Assignment, Facts, Finding, Page, Study
from .stage import staged
from .text import Fingerprint, Links, Reading, Title, Words

PATIENCE = timedelta(seconds=3)

tasks = Tasks()


@tasks.task
@staged()
def fingerprint(page: Page) -> Fingerprint:
    """Hash a file. A function without `async` runs in a thread."""
    return text.take_fingerprint(page.path.read_bytes())


@tasks.task
@staged()
async def title(page: Page) -> Title:
    """Find out what a file calls itself."""
    return text.find_title(page.name, page.text())


flaky_disk = RetryPolicy(
    5, delay=0.2, multiplier=2, retry_on=(OSError,), never_on=(FileNotFoundError,)
)


@tasks.task(retries=flaky_disk)
@staged("hiccups")
def words(page: Page) -> Words:
    """Count a file's words. Its disk is flaky: what fails is retried, a little later each time."""
    return text.count_words(page.text())


@tasks.task
@staged()
def links(page: Page) -> Links:
    """Find a file's links, and those that lead nowhere."""
    found = text.find_links(page.name, page.text())
    here = page.path.parent
    broken = [link for link, path in text.relative_paths(found) if not (here / path).exists()]
    return Links(links=len(found), broken=tuple(broken))


@tasks.task(timeout=PATIENCE)
@staged("silence")
async def reading(page: Page) -> Reading:
    """Measure how a file reads. The service may never answer: nobody waits longer than this."""
    return text.measure_reading(page.text())


def put_together(joined: Joined[Page, Finding]) -> Facts:
    """Put together what the steps found out; a step that failed does not spoil the others."""
    return Facts(
        name=joined.output.name,
        findings=tuple(joined.outputs),
        missing={child.task: child.status.value for child in joined.failed},
    )


@tasks.parent(finalize=put_together)
async def study_page(page: Page) -> FanOut[Page]:
    """Study one file: five steps in parallel."""
    return FanOut(
        page,
        [
            fingerprint.call(page),
            title.call(page),
            words.call(page),
            links.call(page),
            reading.call(page),
        ],
    )


approval = tasks.sleeping("approval", Approval, timeout=timedelta(hours=1))


@tasks.task(retries=3)
@staged()
def write_report(joined: Joined[Assignment, Facts | Approval]) -> Study:
    """Write the report when every file is studied and somebody has said that it may go out."""
    study = Study(
        folder=joined.output.folder,
        pages=tuple(output for output in joined.outputs if isinstance(output, Facts)),
        approval=next((one for one in joined.outputs if isinstance(one, Approval)), None),
    )
    report.write(joined.output.report, study)
    return study


@tasks.parent(finalize=write_report)
async def study_folder(assignment: Assignment) -> FanOut[Assignment]:
    """Study a folder: all its files in parallel, and one question to a human being."""
    pages = [Page(assignment.folder, name) for name in assignment.names]
    return FanOut(
        assignment,
        [*(study_page.call(page) for page in pages), approval.call(assignment.approval)],
    )
