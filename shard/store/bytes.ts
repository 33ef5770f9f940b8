/**
 * Copies and comparisons of some bytes, of which there are some for each request: whole words at a time, by views that are
 * kept. A view made for each, as `set` and `subarray` want it, would take longer than the copy.
 */

/** Bytes within others. */
export type Piece = { readonly bytes: Uint8Array; readonly from: number; readonly to: number };

/** Bytes, and the words of the buffer that they lie in, `offset` bytes behind its beginning. */
export type Target = { readonly bytes: Uint8Array; readonly words: Int32Array; readonly offset: number };

type View = { bytes: Uint8Array; words: Int32Array; offset: number };

/** Up to here whole words at a time are faster than the call that copies. */
const copyByWordMax = 160;
/** From here on they are faster than bytes. */
const byWordMin = 8;
/** Without words, up to here a loop is faster than the call. */
const copyByByteMax = 32;
/** Buffers that requests and files are read into; a larger one, but for an arena's, is not kept from the collector for its words. */
const viewedBytesMax = 8 * 1024 * 1024;

const noView = (): View => ({ bytes: new Uint8Array(0), words: new Int32Array(0), offset: 0 });
/** What was read from twice, and what was written to: the same nearly always. */
const read = noView();
const written = noView();
let readOnce = read.bytes;

const view = (kept: View, bytes: Uint8Array): boolean => {
  const { buffer, byteOffset } = bytes;
  if (buffer.byteLength > viewedBytesMax && !(buffer instanceof SharedArrayBuffer)) return false;
  kept.bytes = bytes;
  kept.words = new Int32Array(buffer, 0, buffer.byteLength >> 2);
  kept.offset = byteOffset;
  return true;
};

/** Whether `read` is of these bytes. */
const isRead = (bytes: Uint8Array): boolean => {
  if (bytes === read.bytes) return true;
  // What is read from once, as each key of a frame is, is not worth a view.
  const isAgain = bytes === readOnce;
  readOnce = bytes;
  return isAgain && view(read, bytes);
};

/** Copies a piece to a place in `bytes`; answers where it ends there. */
export const copyTo = (bytes: Uint8Array, at: number, piece: Piece): number => {
  if (bytes === written.bytes || view(written, bytes)) copyInto(written, at, piece);
  else copyMany(bytes, at, piece);
  return at + piece.to - piece.from;
};

/** The same for who has the words already. */
export const copyInto = (target: Target, at: number, piece: Piece): void => {
  const length = piece.to - piece.from;
  if (length >= byWordMin && length <= copyByWordMax && isRead(piece.bytes)) copyWords(target, at, piece);
  else if (length > copyByByteMax) copyMany(target.bytes, at, piece);
  else copyBytes(target.bytes, at, piece);
};

const copyMany = (target: Uint8Array, at: number, { bytes, from, to }: Piece): void => {
  target.set(to - from === bytes.length ? bytes : bytes.subarray(from, to), at);
};

const copyBytes = (target: Uint8Array, at: number, { bytes, from, to }: Piece): void => {
  for (let i = 0; i < to - from; i++) target[at + i] = bytes[from + i] ?? 0;
};

/** Each word of the target is put together from the two of the source that it lies in. Memory is little endian on all that Node runs on. */
const copyWords = (target: Target, start: number, { bytes, from, to }: Piece): void => {
  const { bytes: targetBytes, words, offset: targetOffset } = target;
  const { words: sourceWords, offset: sourceOffset } = read;
  let at = start;
  let next = from;
  while (((targetOffset + at) & 3) !== 0) targetBytes[at++] = bytes[next++] ?? 0;
  const offset = sourceOffset + next;
  const low = (offset & 3) << 3;
  const high = 32 - low;
  let word = (targetOffset + at) >> 2;
  let sourceWord = offset >> 2;
  // One word less than there are: the last one's second half may lie behind the source's end.
  const end = word + ((to - next) >> 2) - (low === 0 ? 0 : 1);
  at += (end - word) << 2;
  next += (end - word) << 2;
  if (low === 0) while (word < end) words[word++] = sourceWords[sourceWord++] ?? 0;
  else
    for (let first = sourceWords[sourceWord] ?? 0; word < end;) {
      const second = sourceWords[++sourceWord] ?? 0;
      words[word++] = (first >>> low) | (second << high);
      first = second;
    }
  while (next < to) targetBytes[at++] = bytes[next++] ?? 0;
};

/** Whether the bytes at `at`, which begin with a word, are those of a piece. */
export const isSame = (there: Target, at: number, piece: Piece): boolean => {
  const { bytes, from, to } = piece;
  let here = at;
  let next = from;
  if (to - from >= byWordMin && isRead(bytes)) {
    const { words: sourceWords, offset: sourceOffset } = read;
    const { words, offset } = there;
    const low = ((sourceOffset + from) & 3) << 3;
    const high = 31 - low;
    let word = (offset + at) >> 2;
    let sourceWord = (sourceOffset + from) >> 2;
    const end = word + ((to - from) >> 2) - 1;
    here += (end - word) << 2;
    next += (end - word) << 2;
    for (let first = sourceWords[sourceWord] ?? 0; word < end; word++) {
      const second = sourceWords[++sourceWord] ?? 0;
      // Shifted twice: once by 32 would be not at all.
      if (words[word] !== ((first >>> low) | ((second << 1) << high))) return false;
      first = second;
    }
  }
  for (; next < to; here++, next++) if (there.bytes[here] !== bytes[next]) return false;
  return true;
};
