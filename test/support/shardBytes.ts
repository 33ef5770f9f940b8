export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const stringOf = (bytes: Uint8Array | null | undefined): string | null =>
  bytes === null || bytes === undefined ? null : new TextDecoder().decode(bytes);
