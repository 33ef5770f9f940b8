/**
 * How Node runs a shard, here and in a pod. Its heap holds little, about 10 MiB, as the data lies outside; but V8 begins to mark all of it
 * whenever it may grow by less than its young generation is large, and by itself that gets as large as that: some times a second
 * then, for some milliseconds each. With a small one it does so each few seconds, and what is new is collected in less than one.
 */
export const shardNodeArguments = ["--max-semi-space-size=2"] as const;
