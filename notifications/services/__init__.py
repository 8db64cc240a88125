"""The public entry points of messaging: addresses, outbox, delivery and export."""

from notifications.services.addresses import reachable_devices, register_address
from notifications.services.delivery import Delivery, deliver_due
from notifications.services.export import export_device
from notifications.services.outbox import (
    MESSAGE_STATES,
    SUPPRESSED,
    NewMessage,
    OutboxBacklog,
    enqueue_messages,
    outbox_backlog,
)

__all__ = [
    "MESSAGE_STATES",
    "SUPPRESSED",
    "Delivery",
    "NewMessage",
    "OutboxBacklog",
    "deliver_due",
    "enqueue_messages",
    "export_device",
    "outbox_backlog",
    "reachable_devices",
    "register_address",
]
