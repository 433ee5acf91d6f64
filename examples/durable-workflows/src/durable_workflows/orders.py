"""An order: charged, packed by people, shipped in parcels."""

from dataclasses import dataclass
from datetime import timedelta

from durable_core import Context, Event, RetryPolicy, Tasks, WorkflowContext

tasks = Tasks()

DAY = timedelta(days=1)


@dataclass
class Packed:
    """What the warehouse says when it has packed an order."""

    parcels: list[str]


@dataclass
class Receipt:
    """What the customer gets."""

    order_id: str
    charge: str
    tracking: list[str]


packed = Event("packed", Packed)


@tasks.task(retries=RetryPolicy(5, delay=0.2))
async def charge_card(ctx: Context, order_id: str) -> str:
    """Charge the card; a repeated attempt carries the same key, so that the bank charges once."""
    return f"charge of {order_id} with key {ctx.execution_id}/{ctx.step}"


@tasks.task(retries=3)
async def ship(parcel: str) -> str:
    """Hand a parcel to the carrier."""
    return f"tracking of {parcel}"


def format_receipt(order_id: str, charge: str, tracking: list[str]) -> Receipt:
    """Make the receipt; a plain function is run in a thread."""
    return Receipt(order_id, charge, tracking)


@tasks.workflow
async def order(
    ctx: WorkflowContext, order_id: str, grace: timedelta = DAY, patience: timedelta = 3 * DAY
) -> Receipt:
    """Process an order, over days and deployments."""
    charge = await ctx.step(charge_card, order_id)
    # The customer may still change their mind; nothing is held meanwhile.
    await ctx.sleep(grace)
    parcels = (await ctx.wait_for(packed, key=order_id, timeout=patience)).parcels
    tracking = await ctx.gather(*(ctx.call(ship, parcel) for parcel in parcels))
    return await ctx.step(format_receipt, order_id, charge, tracking)
