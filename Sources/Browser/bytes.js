// @ts-check
// Byte arrays: joining, comparing, big-endian integers, and a reader for fields of fixed width.

/** @typedef {Uint8Array} Bytes */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * @param {string} text
 * @returns {Bytes}
 */
export const utf8 = (text) => encoder.encode(text);

/** @param {Uint8Array} bytes */
export const text = (bytes) => decoder.decode(bytes);

/**
 * @param {...(Uint8Array | number[])} parts
 * @returns {Bytes}
 */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/**
 * @param {Uint8Array} left
 * @param {Uint8Array} right
 */
export const equal = (left, right) => left.length === right.length && left.every((byte, index) => byte === right[index]);

/**
 * @param {number} value
 * @returns {Bytes}
 */
export function uint32(value) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/**
 * @param {number} value below 2^53
 * @returns {Bytes}
 */
export function uint64(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

/**
 * @param {number} count
 * @returns {Bytes}
 */
export const random = (count) => crypto.getRandomValues(new Uint8Array(count));

/** @param {Uint8Array} bytes */
export const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));

/**
 * @param {string} base64
 * @returns {Bytes}
 * @throws when it is not base64
 */
export const fromBase64 = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** A message from the other side that is not believed, and why. */
export class ProtocolError extends Error {
  /**
   * @param {string} code one of the names of EndToEndError
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Reads fields of fixed width from bytes that came from outside. */
export class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.position = 0;
  }

  get isAtEnd() {
    return this.position === this.bytes.length;
  }

  /**
   * @param {number} count
   * @returns {Bytes}
   */
  take(count) {
    if (this.bytes.length - this.position < count) throw new ProtocolError("truncated", "a message is truncated");
    this.position += count;
    return this.bytes.slice(this.position - count, this.position);
  }

  byte() {
    return this.take(1)[0];
  }

  uint16() {
    const bytes = this.take(2);
    return bytes[0] << 8 | bytes[1];
  }

  uint32() {
    return new DataView(this.take(4).buffer).getUint32(0);
  }

  /** Counters stay far below 2^53; a larger one is no honest sender's. */
  uint64() {
    const value = new DataView(this.take(8).buffer).getBigUint64(0);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ProtocolError("malformed", "a number is too large");
    return Number(value);
  }

  rest() {
    return this.take(this.bytes.length - this.position);
  }
}
