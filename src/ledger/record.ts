/**
 * One line of a ledger.
 *
 *     {"crc":"1c291ca3","seq":1,"time":"2026-01-31T12:00:00.000Z","record":{"event":"warning",…}}
 *
 * `crc` is the CRC-32 (zlib's) of every byte after `{"crc":"1c291ca3",` up to, not including, the newline.
 * It is checked over the bytes of the file, before they are parsed: how JSON would print them plays no part.
 */

import { crc32 } from "node:zlib";
import { z } from "zod";
import { messageOf } from "../errors.js";
import { PUBLIC_SCHEMAS, type PublicEvent } from "./events.js";
import { INTERNAL_SCHEMAS, type InternalEvent, LEDGER_FORMAT } from "./internal-events.js";
import { LedgerError } from "./ledger-error.js";

/** Everything that may stand in a ledger. */
export type LedgerEvent = PublicEvent | InternalEvent;

/** One record as read back. */
export interface LedgerRecord {
  /** 1 for the first line, then one more each. */
  readonly seq: number;
  /** When it was written, ISO 8601. */
  readonly time: string;
  /** The event's name, also of events this version does not know. */
  readonly name: string;
  /** The event; null when this version does not know its name. */
  readonly event: LedgerEvent | null;
}

/** Longest line written or read, in bytes: a 1 GiB page with every 4 KiB lost fits. */
export const MAX_LINE: number = 8 * 2 ** 20;

const SCHEMAS: ReadonlyMap<string, z.ZodType<LedgerEvent>> = new Map<string, z.ZodType<LedgerEvent>>([
  ...Object.entries(PUBLIC_SCHEMAS),
  ...Object.entries(INTERNAL_SCHEMAS),
]);
const OPENING = '{"crc":"';
const PREFIX = /^\{"crc":"([0-9a-f]{8})",$/;
const PREFIX_LENGTH = `${OPENING}00000000",`.length;
const envelopeSchema = z.object({
  seq: z.int().positive(),
  time: z.iso.datetime(),
  record: z.looseObject({ event: z.string().min(1) }),
});

/**
 * Serializes one record. Its event is taken as it is: looking at it through its schema takes twice as long as all of this, and a
 * thread may stand meanwhile. {@link faultOf} looks at the line when there is time.
 *
 * @returns the line with its newline
 * @throws LedgerError HM_LEDGER_RECORD when it is longer than {@link MAX_LINE}
 */
export function encodeRecord(seq: number, time: Date, event: LedgerEvent): Buffer {
  const rest = JSON.stringify({ seq, time: time.toISOString(), record: event }).slice(1);
  const crc = crc32(rest).toString(16).padStart(8, "0");
  const line = Buffer.from(`${OPENING}${crc}",${rest}\n`);
  if (line.length > MAX_LINE) {
    throw new LedgerError("HM_LEDGER_RECORD", `The ${event.event} event is too long for a ledger`, {
      present: `${line.length} bytes`,
      expected: `at most ${MAX_LINE}`,
    });
  }
  return line;
}

/**
 * @param line what {@link encodeRecord} has made
 * @param seq its sequence number
 * @returns why it could not be read back, in words; null if it can
 */
export function faultOf(line: Buffer, seq: number): string | null {
  try {
    const record = decodeRecord(line.subarray(0, -1), seq);
    if (typeof record === "string") return record;
    return record.event === null ? `there is no event "${record.name}"` : null;
  } catch (error) {
    return messageOf(error);
  }
}

/**
 * Reads one line back.
 *
 * Forward compatibility: fields this version does not know are dropped, and so is the content of events it does
 * not know (`event` is null). A newer version that changes what the present state means raises the format in its
 * `attached` record, and is refused here.
 *
 * @param line the bytes without the newline
 * @param expectedSeq the sequence number that must stand in it
 * @returns the record, or a sentence that says why the line is bad
 * @throws LedgerError HM_LEDGER_FORMAT for a line that is whole but written by a newer version
 */
export function decodeRecord(line: Buffer, expectedSeq: number): LedgerRecord | string {
  if (line.length > MAX_LINE) return `the line is longer than ${MAX_LINE} bytes`;
  const crc = PREFIX.exec(line.toString("latin1", 0, PREFIX_LENGTH))?.[1];
  if (crc === undefined) return "the line does not begin with a checksum";
  if (crc32(line.subarray(PREFIX_LENGTH)) !== Number.parseInt(crc, 16)) return "the checksum does not match";
  let value: unknown;
  try {
    value = JSON.parse(`{${line.toString("utf8", PREFIX_LENGTH)}`);
  } catch (error) {
    return `the line is not JSON: ${messageOf(error)}`;
  }
  const envelope = envelopeSchema.safeParse(value);
  if (!envelope.success) return `the line is not a record: ${z.prettifyError(envelope.error)}`;
  const { seq, time, record } = envelope.data;
  if (seq !== expectedSeq) return `the sequence number is ${seq}, expected ${expectedSeq}`;
  const name = record.event;
  return { seq, time, name, event: decodeEvent(name, record, seq) };
}

function decodeEvent(name: string, record: unknown, line: number): LedgerEvent | null {
  const schema = SCHEMAS.get(name);
  if (schema === undefined) return null;
  const event = schema.safeParse(record);
  const newer = event.success && event.data.event === "attached" && event.data.format > LEDGER_FORMAT;
  if (event.success && !newer) return event.data;
  throw new LedgerError(
    "HM_LEDGER_FORMAT",
    `Line ${line} of the ledger was written by another version of Hugemend`,
    {
      present: event.success ? `a newer format in "${name}"` : `"${name}": ${z.prettifyError(event.error)}`,
      expected: `format ${LEDGER_FORMAT}`,
      remedy: "Use the version that wrote it",
    },
  );
}
