import { decodeStreamed, type Record } from "../../core/record.ts";
import type { Journal } from "../../shard/journal.ts";

/** The records that a journal has got since it was last asked. */
export const takenRecords = (journal: Journal): readonly Record[] =>
  journal
    .take()
    .flatMap(({ bytes }) => decodeStreamed(bytes))
    .flatMap((item) => (item.kind === "record" ? [item.record] : []));
