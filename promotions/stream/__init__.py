"""The fix stream in Redis: keys, clients, entries, batches in order behind a cursor, and the backlog.

Never `MAXLEN`, which would drop unprocessed fixes, and no consumer groups: the cursor is in PostgreSQL.
"""

from promotions.stream.backlog import (
    Backlog,
    ShardBacklog,
    measure_backlog,
    measure_shards,
    query_shards,
    read_shards,
)
from promotions.stream.batches import (
    WAKE_LIFE_MS,
    begin_batch,
    break_off_batch,
    claim_wake,
    clear_wake,
    end_batch,
    identify_stream,
    process_singly,
    read_batch,
    trim_behind,
)
from promotions.stream.clients import (
    SOCKET_TIMEOUT_S,
    async_client,
    async_cluster,
    client_at,
    hub_client,
    is_cluster,
    stream_url,
    sync_client,
)
from promotions.stream.entries import (
    ENTRY_FIELD,
    MAX_ENTRY_RECORDS,
    PoisonEntry,
    StreamBatch,
    decode_entries,
    decode_entry,
    list_payloads,
)
from promotions.stream.keys import STREAM_START, attempts_key, is_upto, mark_key, shard_of, stream_key, wake_key

__all__ = [
    "ENTRY_FIELD",
    "MAX_ENTRY_RECORDS",
    "SOCKET_TIMEOUT_S",
    "STREAM_START",
    "WAKE_LIFE_MS",
    "Backlog",
    "PoisonEntry",
    "ShardBacklog",
    "StreamBatch",
    "async_client",
    "async_cluster",
    "begin_batch",
    "break_off_batch",
    "claim_wake",
    "clear_wake",
    "client_at",
    "decode_entries",
    "decode_entry",
    "end_batch",
    "hub_client",
    "identify_stream",
    "is_cluster",
    "is_upto",
    "list_payloads",
    "mark_key",
    "measure_backlog",
    "measure_shards",
    "process_singly",
    "query_shards",
    "read_batch",
    "read_shards",
    "shard_of",
    "stream_key",
    "stream_url",
    "sync_client",
    "attempts_key",
    "trim_behind",
    "wake_key",
]
