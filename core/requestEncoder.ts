import {
  beginFrame,
  createCborWriter,
  endFrame,
  roomOfHeader,
  roomOfNumber,
  roomOfText,
  writeArray,
  writeBoolean,
  writeBytes,
  writeNull,
  writeNumber,
  writeText,
} from "./cborWriter.ts";
import {
  conditions,
  expiries,
  readLevels,
  type ReplyFrame,
  type Request,
  type RequestFrame,
  type Result,
} from "./request.ts";

/** Frames of requests and replies as CBOR. What is returned is never written again. */

const writer = createCborWriter();

export const encodeRequests = ({ id, shard, epoch, requests }: RequestFrame): Uint8Array => {
  let room = 5 * roomOfNumber;
  for (const request of requests) room += roomOfRequest(request);
  beginFrame(writer, room);
  writeArray(writer, 4);
  writeNumber(writer, id);
  writeNumber(writer, shard);
  writeNumber(writer, epoch);
  writeArray(writer, requests.length);
  for (const request of requests) writeRequest(request);
  return endFrame(writer);
};

export const encodeReplies = ({ id, results }: ReplyFrame): Uint8Array => {
  let room = 3 * roomOfNumber;
  for (const result of results) room += roomOfResult(result);
  beginFrame(writer, room);
  writeArray(writer, 2);
  writeNumber(writer, id);
  writeArray(writer, results.length);
  for (const result of results) writeResult(result);
  return endFrame(writer);
};

/** An array, its kind, and up to five numbers or small fields. */
const roomOfFields = 2 + 5 * roomOfNumber;

const roomOfRequest = (request: Request): number => {
  const room = roomOfFields + roomOfHeader + request.key.length;
  if (request.kind !== "set") return room;
  const { value, condition } = request;
  const expected = condition.kind === "ifEqual" ? roomOfHeader + condition.value.length : 0;
  return room + roomOfHeader + value.length + expected;
};

const roomOfResult = (result: Result): number => {
  switch (result.kind) {
    case "value":
      return roomOfFields + roomOfHeader + (result.value?.length ?? 0);
    case "error":
      return roomOfFields + roomOfText(result.code) + roomOfText(result.message);
    case "set":
    case "deleted":
    case "integer":
      return roomOfFields;
  }
};

const writeRequest = (request: Request): void => {
  switch (request.kind) {
    case "get": {
      const { read } = request;
      writeArray(writer, 6);
      writeNumber(writer, 1);
      writeBytes(writer, request.key);
      writeNumber(writer, readLevels.indexOf(read.kind));
      writeNumber(writer, read.kind === "eventual" ? (read.lagMsMax ?? 0) : 0);
      writeNumber(writer, read.kind === "session" ? read.epoch : 0);
      writeNumber(writer, read.kind === "session" ? read.version : 0);
      return;
    }
    case "set": {
      const { condition, expiry } = request;
      writeArray(writer, 7);
      writeNumber(writer, 2);
      writeBytes(writer, request.key);
      writeBytes(writer, request.value);
      writeNumber(writer, conditions.indexOf(condition.kind));
      if (condition.kind === "ifEqual") writeBytes(writer, condition.value);
      else writeNull(writer);
      writeNumber(writer, expiries.indexOf(expiry.kind));
      writeNumber(writer, expiry.kind === "in" || expiry.kind === "at" ? expiry.ms : 0);
      return;
    }
    case "delete":
      writeArray(writer, 2);
      writeNumber(writer, 3);
      writeBytes(writer, request.key);
      return;
    case "increment":
      writeArray(writer, 3);
      writeNumber(writer, 4);
      writeBytes(writer, request.key);
      writeNumber(writer, request.by);
      return;
  }
};

const writeResult = (result: Result): void => {
  switch (result.kind) {
    case "value":
      writeArray(writer, 5);
      writeNumber(writer, 1);
      if (result.value === null) writeNull(writer);
      else writeBytes(writer, result.value);
      writeNumber(writer, result.epoch);
      writeNumber(writer, result.version);
      writeNumber(writer, result.lagMs);
      return;
    case "set":
    case "deleted":
      writeArray(writer, 4);
      writeNumber(writer, result.kind === "set" ? 2 : 3);
      writeBoolean(writer, result.kind === "set" ? result.applied : result.existed);
      writeNumber(writer, result.epoch);
      writeNumber(writer, result.version);
      return;
    case "integer":
      writeArray(writer, 4);
      writeNumber(writer, 4);
      writeNumber(writer, result.value);
      writeNumber(writer, result.epoch);
      writeNumber(writer, result.version);
      return;
    case "error":
      writeArray(writer, 3);
      writeNumber(writer, 0);
      writeText(writer, result.code);
      writeText(writer, result.message);
      return;
  }
};
