/** Every maximum, with the sum that led to it. Names end in their unit and `Max`. */

/** As Redis Cluster tools expect; a key longer than this is data. */
export const keyBytesMax = 64 * 1024;
/** Each copy of one value delays the others: about 20 ms at this size, and there are some on its way. */
export const valueBytesMax = 64 * 1024 * 1024;
/** Records, results and operations are larger than their keys and values by their headers and numbers. */
export const operationOverheadBytesMax = 64;
/** A frame holds one largest operation or record, or replies of that size, and much room for the rest. */
export const frameBytesMax = valueBytesMax + 1024 * 1024;
/** A message that is not a frame of operations, records or replies: at most a topology. */
export const controlBytesMax = 4 * 1024 * 1024;
/** Operations in one frame: some milliseconds of work. */
export const operationsPerFrameMax = 4096;
/** A topology of 1,024 shards and 10,000 pods, about 300 bytes each. */
export const topologyBytesMax = controlBytesMax;
/** Before its hello is accepted a peer has had no reason to send more than a hello. */
export const helloBytesMax = 4 * 1024;
/** A peer that is there answers a hello at once. */
export const helloMsMax = 5_000;
/** Nesting of any message: a topology change has 5 levels. */
export const messageDepthMax = 12;
/** Items (numbers, strings, arrays, maps…) of a control message: 10,000 pods of 20 items, and the shards. */
export const messageItemsMax = 400_000;
/** Items of a frame of operations: 4096 operations of at most 12 items. */
export const frameItemsMax = 64 * 1024;
/** Records in one replication frame; the frame's bytes are bounded as well. */
export const recordsPerFrameMax = 16 * 1024;
/** Bytes not yet taken by a peer before the sender stops reading that peer's requests. */
export const unsentBytesSoftMax = 1024 * 1024;
/**
 * Bytes not yet taken by a peer before it is cut off: it asks, but does not read. What is below the soft maximum, one frame
 * that goes beyond it, and another for what was under way by then.
 */
export const unsentBytesHardMax = unsentBytesSoftMax + 2 * frameBytesMax;
/** Bytes not yet taken by the peers over all connections of one port, before the one that took least is cut off: four large replies. */
export const unsentBytesInAllMax = 4 * frameBytesMax;
/** Bytes of half-received frames over all connections of one port: four of the largest frames. */
export const halfReceivedBytesMax = 4 * frameBytesMax;
/** Connections per port: file descriptors (65,536 by default in containers) less room for the rest. */
export const connectionsMax = 16_384;
/** What a reader may have outstanding (written to its socket, not yet taken) before it is dropped to resync. */
export const unsentBytesPerReaderMax = 8 * 1024 * 1024;
/** While a reader copies, the walk waits as long as this much is unsent, so that heartbeats are never stuck behind it. */
export const copyAheadBytesMax = 512 * 1024;
export const readersPerShardMax = 64;
/** Members of an in-sync set: the readers of a shard, and its home writer while a reader owns it. */
export const inSyncMax = readersPerShardMax + 1;
/** Moves of slots that one shard takes part in at a time. */
/** Former processes of one volume that the present one tells of: some short-lived starts after the one that owned. */
export const endedProcessesMax = 16;
export const movesPerShardMax = 16;
/** Reads that wait at one reader for a version it does not hold yet. */
export const waitingReadsMax = 4096;
/** How long a session read waits at a reader for its version before it is sent elsewhere. */
export const sessionWaitMsMax = 200;
/** Frames and commands that wait at an owner while their slots, or the shard, change hands: a second of 16,384 clients that wait for each. */
export const parkedMax = 16_384;
/** What they hold in all: one of the largest frames, or a second's writes at 64 MiB/s. */
export const parkedBytesMax = 2 * frameBytesMax;
/** How long each waits before it is answered `try-again`. */
export const parkedMsMax = 1_000;
/** Bytes of entries that a move of slots sends in one turn of the event loop: less than a millisecond of work at either end. */
export const moveFrameBytesMax = 64 * 1024;
/** What a move has sent and the other end has not taken. */
export const moveAheadBytesMax = 512 * 1024;
/** What came of a move and is not durable yet, before no more is read of it: some tenths of a second of a usual disk. */
export const moveUndurableBytesMax = 8 * 1024 * 1024;
/** Keys of slots that are not a shard's own which it deletes in one turn of the event loop: about a millisecond of work. */
export const droppedPerTurnMax = 2_000;
/** Requests a client has outstanding on one connection before it waits to send more. */
export const outstandingFramesMax = 1024;
/** A client that is sent on this often is chasing a topology that does not settle. */
export const hopsMax = 8;
/** Length of names, addresses, codes and other short texts in messages. */
export const textBytesMax = 1024;
export const readersMax = 10_000;
/** Values in one frame of replies, unless a single one has more: the time to copy them is taken from everybody else. */
export const replyValueBytesMax = 3 * 1024 * 1024;
/** Bytes of records or entries in one replication frame, unless a single one has more: about 2 ms of work at a reader. */
export const replicationFrameBytesMax = 256 * 1024;
/** Bytes of records that are written and sent as one piece, unless a single record has more. */
export const journalBatchBytesMax = 256 * 1024;
/** Records of one client's commands before others get their turn: an APPEND of a byte makes a record of the whole value. */
export const turnRecordBytesMax = 8 * 1024 * 1024;
/** Records that are made and not durable yet before RESP clients wait: four of the largest, seconds of a usual disk. */
export const undurableBytesMax = 256 * 1024 * 1024;
/** Expired keys that an owner removes at once: a fifth of a millisecond of work, so that requests go on when many expire together. They are hidden before. */
export const expiredPerTurnMax = 100;
/** Bytes of one RESP command: as much as a frame. */
export const respCommandBytesMax = frameBytesMax;
/** Arguments of one RESP command, as in Redis; the bytes are bounded as well. */
export const respArgumentsMax = 1024 * 1024;
/** An inline command or a length line, as in Redis. */
export const respInlineBytesMax = 64 * 1024;
/** Bytes of the commands that one RESP client has queued between MULTI and EXEC: a largest one, and others. */
export const respQueuedBytesMax = respCommandBytesMax + 16 * 1024 * 1024;
/** Scans under way at one process; the one that was not asked on for longest starts again. */
export const respScansMax = 1024;
/** Bytes of replies of one RESP client that are made and not sent yet; a command whose reply has no room is answered with an error. */
export const respReplyBytesMax = unsentBytesSoftMax + 2 * respCommandBytesMax;
/** A RESP client that takes nothing of its replies for this long is cut off. */
export const respStalledMsMax = 60_000;
/** What a store copies at once to bring entries together: about half a millisecond of work. */
export const compactedBytesPerTurnMax = 256 * 1024;
/** Keys that an owner evicts in one turn: some milliseconds of work. A turn's commands (64 KiB of them) rarely need more. */
export const evictedPerTurnMax = 2000;
/** How far beyond its maximum a shard goes while eviction goes on between turns: some of the largest commands. */
export const memoryOvershootBytesMax = 16 * 1024 * 1024;
/** A segment of a log: 64 of them for the log of 4 GiB; recovery reads at most one that it could do without. */
export const logSegmentBytesMax = 64 * 1024 * 1024;
/** Records that are framed together in a log: whoever reads one of them reads and checks them all. */
export const logFrameBytesMax = 256 * 1024;
/** One batch given to a log, and so one frame: the largest record, and three more like it in the same slab. */
export const logBatchBytesMax = 256 * 1024 * 1024;
/** What is written to a log before the event loop goes on, about a millisecond; more is written off the main thread, this much at a time. */
export const logWriteBytesMax = 1024 * 1024;
/** Records that count as written though they wait in memory until a sync that is under way is done: a second at 64 MiB/s. There has to be room for them: on a small volume as much less as its reserve is. */
export const logHeldBytesMax = 64 * 1024 * 1024;
/** A volume with less room takes no more writes: room for what was appended already and for a new segment… */
export const logReserveBytesMax = 64 * 1024 * 1024;
/** …or this share of a small volume. */
export const logReserveShareMax = 0.05;
/** Written to a log before it looks how much room there is: a quarter of the reserve, on a small volume of the one that it has. */
export const logLookBytesMax = 16 * 1024 * 1024;
/** Log behind a snapshot before a new one is taken, some seconds of a start; twice what the store holds where that is more… */
export const logBytesPerSnapshotMin = 512 * 1024 * 1024;
/** …but never more than this share of the volume: it holds two snapshots, and the log of two such spans behind the older one. */
export const logPerSnapshotShareMax = 1 / 6;
/** Entries in one block of a snapshot: about half a millisecond of work. */
export const snapshotBlockBytesMax = 64 * 1024;
/** Of a snapshot, handed to the disk and not written yet. */
export const snapshotAheadBytesMax = 4 * 1024 * 1024;
/** A snapshot is synced each time it has grown by this much, so that its end has no flood of writes that a log's sync waits behind. */
export const snapshotUnsyncedBytesMax = 16 * 1024 * 1024;
/** What a start found beyond the end of a log, and what a copy replaced though it was not in it: kept for a person to look at. */
export const quarantineBytesMax = 128 * 1024 * 1024;
/** Keys that FLUSHALL deletes in one turn: about two milliseconds of work. */
export const flushedPerTurnMax = 1000;
/** Keys that a store fetches the memory of before they are sought: a usual pipeline, within a core's first cache. */
export const foreseenKeysMax = 64;
/** Of one slot in the answer to a question for digests: keys, bytes, digest. */
export const digestBytesPerSlot = 20;
/** What a process goes through for a digest in one turn of the event loop: about half a millisecond of work. */
export const digestBytesPerTurnMax = 128 * 1024;
/** Questions for digests that one process has before more are refused; it answers one at a time. */
export const digestsMax = 16;
/** How long a process waits for the place that a digest is to be taken at. */
export const digestWaitMsMax = 2_000;
/** A ShardCluster as JSON, of which most is a pod template: some kilobytes. */
export const planTextBytesMax = 256 * 1024;
