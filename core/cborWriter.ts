/**
 * Writes CBOR in place, byte for byte what core/cbor.ts makes of the same values, into large slabs: the small frames of one
 * slab are views of it, handed out as they are and never written again. One that needs much room gets a buffer of its own.
 */
export type CborWriter = {
  bytes: Uint8Array;
  /** Where the next item goes. */
  at: number;
  slab: Uint8Array;
  slabAt: number;
  start: number;
};

/** Some hundred small frames. A frame that waits to be sent keeps its whole slab in memory, so not more. */
const slabBytes = 64 * 1024;

export const createCborWriter = (): CborWriter => {
  const slab = new Uint8Array(slabBytes);
  return { bytes: slab, at: 0, slab, slabAt: 0, start: 0 };
};

/** Begins a frame that will have at most `bytesMax` bytes: the sum of `room…` of all that is written. */
export const beginFrame = (writer: CborWriter, bytesMax: number): void => {
  if (bytesMax > slabBytes / 4) {
    writer.bytes = new Uint8Array(bytesMax);
    writer.at = 0;
  } else {
    if (writer.slab.length - writer.slabAt < bytesMax) {
      writer.slab = new Uint8Array(slabBytes);
      writer.slabAt = 0;
    }
    writer.bytes = writer.slab;
    writer.at = writer.slabAt;
  }
  writer.start = writer.at;
};

/** The frame that was begun. */
export const endFrame = (writer: CborWriter): Uint8Array => {
  const { bytes, start, at, slab } = writer;
  if (bytes === slab) writer.slabAt = at;
  // A large frame is not kept beyond its sending.
  writer.bytes = slab;
  return bytes.subarray(start, at);
};

/** What any header or number takes at most. */
export const roomOfNumber = 9;
/** What a byte or text string takes at most, without its content. */
export const roomOfHeader = 5;
/** What a text takes at most. */
export const roomOfText = (text: string): number => roomOfHeader + text.length * 3;

export const writeArray = (writer: CborWriter, length: number): void => {
  writeHeader(writer, 0x80, length);
};

export const writeBytes = (writer: CborWriter, content: Uint8Array): void => {
  const { length } = content;
  writeHeader(writer, 0x40, length);
  const { bytes, at } = writer;
  writer.at = at + length;
  // A call costs more than it copies where there are only some bytes.
  if (length > 32) bytes.set(content, at);
  else for (let i = 0; i < length; i++) bytes[at + i] = content[i] ?? 0;
};

const utf8 = new TextEncoder();

export const writeText = (writer: CborWriter, text: string): void => {
  const content = utf8.encode(text);
  writeHeader(writer, 0x60, content.length);
  writer.bytes.set(content, writer.at);
  writer.at += content.length;
};

export const writeNull = (writer: CborWriter): void => {
  writer.bytes[writer.at++] = 0xf6;
};

export const writeBoolean = (writer: CborWriter, is: boolean): void => {
  writer.bytes[writer.at++] = is ? 0xf5 : 0xf4;
};

const scratch = new Uint8Array(8);
const scratchView = new DataView(scratch.buffer);

/** Integers of 32 bits as integers, everything else as a 64-bit float. */
export const writeNumber = (writer: CborWriter, n: number): void => {
  if (n >= 0 && n < 0x1_0000_0000 && Math.floor(n) === n) {
    writeHeader(writer, 0, n);
  } else if (n < 0 && n >= -0x1_0000_0000 && Math.floor(n) === n) {
    writeHeader(writer, 0x20, -1 - n);
  } else {
    const { bytes, at } = writer;
    scratchView.setFloat64(0, n);
    bytes[at] = 0xfb;
    for (let i = 0; i < 8; i++) bytes[at + 1 + i] = scratch[i] ?? 0;
    writer.at = at + 9;
  }
};

/** `major`: the upper three bits of the first byte. */
const writeHeader = (writer: CborWriter, major: number, argument: number): void => {
  const { bytes } = writer;
  let { at } = writer;
  if (argument < 24) {
    bytes[at++] = major | argument;
  } else if (argument < 0x100) {
    bytes[at++] = major | 24;
    bytes[at++] = argument;
  } else if (argument < 0x1_0000) {
    bytes[at++] = major | 25;
    bytes[at++] = argument >>> 8;
    bytes[at++] = argument;
  } else {
    bytes[at++] = major | 26;
    bytes[at++] = argument >>> 24;
    bytes[at++] = argument >>> 16;
    bytes[at++] = argument >>> 8;
    bytes[at++] = argument;
  }
  writer.at = at;
};
