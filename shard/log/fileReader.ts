import type { DiskFile } from "./disk.ts";

/**
 * Reads a file from front to back. What was asked for lies in one piece at `bytes`, from `at` on; the next piece is fetched
 * while that is looked at.
 */
export type FileReader = {
  readonly bytes: Buffer;
  /** Where in `bytes` the reader stands; whoever has taken something moves it on. */
  at: number;
  /** Offset in the file of what stands at `at`. */
  readonly offset: () => number;
  /** How much lies there. */
  readonly available: () => number;
  /** Sees to it that there are so many bytes; whether the file has them. */
  readonly want: (count: number) => Promise<boolean>;
};

const windowBytesMax = 4 * 1024 * 1024;
/** What is left of one window is copied before the next one, into this room where it fits. */
const headroomBytesMax = 512 * 1024;

/** Up to `end`; what lies behind it is not looked at. */
export const createFileReader = (file: DiskFile, end: number): FileReader => {
  const windowBytes = Math.min(windowBytesMax, end);
  const headroomBytes = Math.min(headroomBytesMax, end);
  let filled = 0;
  /** Offset in the file of what stands at `filled`, and of what is to be fetched next. */
  let through = 0;
  let fetched = 0;
  let spare: Buffer | null = null;
  let ahead: Promise<Piece> | null = null;
  const fetch = (): void => {
    ahead = null;
    const size = Math.min(windowBytes, end - fetched);
    if (size <= 0) return;
    const buffer = spare ?? Buffer.allocUnsafeSlow(headroomBytes + windowBytes);
    spare = null;
    ahead = file
      .read(buffer.subarray(headroomBytes, headroomBytes + size), fetched)
      .then((bytes) => ({ buffer, bytes }));
    // It may come to nothing before anybody looks at it.
    ahead.catch(() => undefined);
    fetched += size;
  };
  /** What is fetched goes behind what is left: before it in its own buffer, or else into a larger one. */
  const join = ({ buffer, bytes }: Piece, count: number): void => {
    const left = filled - reader.at;
    const room = reader.bytes.length - filled;
    if (left <= headroomBytes && count <= headroomBytes + windowBytes) {
      reader.bytes.copy(buffer, headroomBytes - left, reader.at, filled);
      if (reader.bytes.length === buffer.length) spare = reader.bytes;
      reader.bytes = buffer;
      reader.at = headroomBytes - left;
      filled = headroomBytes + bytes;
      return;
    }
    if (room < bytes) {
      const larger = Buffer.allocUnsafeSlow(Math.max(count, left) + windowBytes);
      reader.bytes.copy(larger, 0, reader.at, filled);
      reader.bytes = larger;
      reader.at = 0;
      filled = left;
    }
    filled += buffer.copy(reader.bytes, filled, headroomBytes, headroomBytes + bytes);
    spare = buffer;
  };
  const reader: { -readonly [Name in keyof FileReader]: FileReader[Name] } = {
    bytes: Buffer.alloc(0),
    at: 0,
    available: () => filled - reader.at,
    offset: () => through - (filled - reader.at),
    want: async (count) => {
      if (count > filled - reader.at + end - through) return false;
      while (filled - reader.at < count) {
        if (ahead === null) return false;
        const piece = await ahead;
        join(piece, count);
        through += piece.bytes;
        fetch();
      }
      return true;
    },
  };
  fetch();
  return reader;
};

type Piece = { readonly buffer: Buffer; readonly bytes: number };
