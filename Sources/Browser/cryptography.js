// @ts-check
// What the protocol needs of WebCrypto: HKDF and HMAC with SHA-256, AES-256-GCM, X25519, Ed25519. Nothing of it is our own.

import { concat, ProtocolError, uint32, utf8 } from "./bytes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */

const subtle = globalThis.crypto?.subtle;

/**
 * Whether this browser has what is needed.
 * @returns {Promise<string | null>} what is missing, or null
 */
export async function missing() {
  if (!subtle) return "a secure connection (https)";
  try {
    const pair = await subtle.generateKey("X25519", false, ["deriveBits"]);
    if (!("privateKey" in pair)) return "X25519";
  } catch {
    return "X25519";
  }
  try {
    await subtle.importKey("raw", new Uint8Array(32), "Ed25519", false, ["verify"]);
  } catch {
    return "Ed25519";
  }
  return typeof WebAssembly === "object" ? null : "WebAssembly";
}

/**
 * @param {Bytes} bytes
 * @returns {Promise<Bytes>}
 */
export const sha256 = async (bytes) => new Uint8Array(await subtle.digest("SHA-256", bytes));

/**
 * @param {Bytes} bytes
 * @returns {Promise<Bytes>}
 */
export const sha512 = async (bytes) => new Uint8Array(await subtle.digest("SHA-512", bytes));

/**
 * @param {Bytes} key
 * @param {Bytes} salt
 * @param {Bytes} info
 * @returns {Promise<Bytes>} 32 bytes (RFC 5869)
 */
export async function hkdf(key, salt, info) {
  const imported = await subtle.importKey("raw", key, "HKDF", false, ["deriveBits"]);
  return new Uint8Array(await subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info }, imported, 256));
}

/** @param {Bytes} key */
const hmacKey = (key) => subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);

/**
 * @param {Bytes} key
 * @param {Bytes} bytes
 * @returns {Promise<Bytes>}
 */
export const hmac = async (key, bytes) => new Uint8Array(await subtle.sign("HMAC", await hmacKey(key), bytes));

/**
 * @param {Bytes} key
 * @param {Bytes} tag
 * @param {Bytes} bytes in constant time
 */
export const hmacIsValid = async (key, tag, bytes) => subtle.verify("HMAC", await hmacKey(key), tag, bytes);

/** One side of a Diffie-Hellman exchange. */
export class PrivateKey {
  /**
   * @param {CryptoKey} key
   * @param {Bytes} publicKey
   */
  constructor(key, publicKey) {
    this.key = key;
    /** On X25519's own base point. */
    this.publicKey = publicKey;
  }

  static async generate() {
    const pair = /** @type {CryptoKeyPair} */ (await subtle.generateKey("X25519", false, ["deriveBits"]));
    return new PrivateKey(pair.privateKey, new Uint8Array(await subtle.exportKey("raw", pair.publicKey)));
  }

  /** @param {Bytes} scalar 32 bytes, for the draft's vectors */
  static async from(scalar) {
    // PKCS #8 around the scalar (RFC 8410, section 7).
    const prefix = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20];
    return new PrivateKey(await subtle.importKey("pkcs8", concat(prefix, scalar), "X25519", false, ["deriveBits"]), new Uint8Array());
  }

  /**
   * X25519 with refusal of the all-zero result.
   * @param {Bytes} point
   * @returns {Promise<Bytes>}
   */
  async multiply(point) {
    try {
      const peer = await subtle.importKey("raw", point, "X25519", false, []);
      const shared = new Uint8Array(await subtle.deriveBits({ name: "X25519", public: peer }, this.key, 256));
      if (shared.some((byte) => byte !== 0)) return shared;
    } catch { /* WebCrypto refuses an all-zero result itself. */ }
    throw new ProtocolError("lowOrderPoint", "a key exchange used a point of small order");
  }
}

/** The host's signature over its output. */
export class Verifier {
  /** @param {CryptoKey} key */
  constructor(key) {
    this.key = key;
  }

  /** @param {Bytes} publicKey */
  static async from(publicKey) {
    try {
      return new Verifier(await subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]));
    } catch {
      throw new ProtocolError("malformed", "a message is malformed");
    }
  }

  /**
   * @param {Bytes} signature
   * @param {Bytes} bytes
   */
  isValid(signature, bytes) {
    return subtle.verify("Ed25519", this.key, signature, bytes);
  }
}

export const TAG_BYTES = 16;

/** A key for one stream of frames; the nonce is the stream's number and the frame's. */
export class FrameKey {
  /**
   * @param {CryptoKey} key
   * @param {number} stream
   * @param {Bytes} session
   */
  constructor(key, stream, session) {
    this.key = key;
    this.stream = uint32(stream);
    this.session = session;
  }

  /**
   * @param {Bytes} key 32 bytes
   * @param {number} stream
   * @param {string} sessionId
   */
  static async from(key, stream, sessionId) {
    const imported = await subtle.importKey("raw", key, "AES-GCM", false, ["encrypt", "decrypt"]);
    return new FrameKey(imported, stream, utf8(sessionId));
  }

  /** @param {import("./frames.js").Header} header */
  #parameters(header) {
    const additionalData = concat(
      [1, this.session.length & 0xff], this.session, uint32(header.epoch), this.stream, header.sequenceBytes, [header.kind]);
    return { name: "AES-GCM", iv: concat(this.stream, header.sequenceBytes), additionalData, tagLength: 8 * TAG_BYTES };
  }

  /**
   * @param {import("./frames.js").Header} header
   * @param {Bytes} plaintext
   * @returns {Promise<Bytes>} the whole frame
   */
  async seal(header, plaintext) {
    const sealed = await subtle.encrypt(this.#parameters(header), this.key, plaintext);
    return concat(header.bytes, new Uint8Array(sealed));
  }

  /**
   * @param {import("./frames.js").Header} header
   * @param {Bytes} frame
   * @returns {Promise<Bytes>}
   */
  async open(header, frame) {
    try {
      return new Uint8Array(await subtle.decrypt(this.#parameters(header), this.key, frame.subarray(16)));
    } catch {
      throw new ProtocolError("notAuthentic", "a message was changed in transit");
    }
  }
}
