// @ts-check
// Binary frames: a header of 16 bytes, then ciphertext (docs/protocol.md), and the two kinds of channel that are made of them.

import { concat, ProtocolError, Reader, text, uint32, uint64, utf8 } from "./bytes.js";
import { FrameKey, sha256, TAG_BYTES, Verifier } from "./cryptography.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */

export const HEADER_BYTES = 16;
export const kinds = { broadcast: 1, direct: 2, snapshot: 3, input: 4, feedback: 5 };
const streams = { broadcast: 1, hostToGuest: 2, guestInput: 3, guestFeedback: 4 };

/** The fixed header of a frame. */
export class Header {
  /**
   * @param {number} kind
   * @param {number} epoch
   * @param {number} sequence
   */
  constructor(kind, epoch, sequence) {
    this.kind = kind;
    this.epoch = epoch;
    this.sequence = sequence;
    this.sequenceBytes = uint64(sequence);
  }

  /**
   * As this guest sends it: the relay writes the slot.
   * @returns {Bytes}
   */
  get bytes() {
    return concat([1, this.kind, 0, 0], uint32(this.epoch), this.sequenceBytes);
  }

  /**
   * @param {Bytes} frame
   * @returns {Header}
   */
  static of(frame) {
    const reader = new Reader(frame.subarray(0, HEADER_BYTES));
    if (reader.byte() !== 1) throw new ProtocolError("truncated", "a frame has another version");
    const kind = reader.byte();
    reader.uint16();
    const epoch = reader.uint32();
    const sequence = reader.uint64();
    if (kind < 1 || kind > 5 || frame.length < HEADER_BYTES + TAG_BYTES) {
      throw new ProtocolError("truncated", "a message is truncated");
    }
    return new Header(kind, epoch, sequence);
  }
}

/** The keys between the host and this guest for one connection: a generation. */
export class PairwiseChannel {
  /**
   * @param {number} generation
   * @param {FrameKey} fromHost
   * @param {FrameKey} feedback
   * @param {FrameKey | null} input
   */
  constructor(generation, fromHost, feedback, input) {
    this.generation = generation;
    this.fromHost = fromHost;
    this.feedback = feedback;
    this.input = input;
    this.nextFromHost = 0;
    this.nextFeedback = 0;
    this.nextInput = 0;
  }

  /**
   * @param {string} sessionId
   * @param {boolean} canType
   * @param {number} generation
   * @param {(label: string) => Promise<Bytes>} derive
   */
  static async from(sessionId, canType, generation, derive) {
    return new PairwiseChannel(
      generation,
      await FrameKey.from(await derive("host to guest"), streams.hostToGuest, sessionId),
      await FrameKey.from(await derive("guest feedback"), streams.guestFeedback, sessionId),
      canType ? await FrameKey.from(await derive("guest input"), streams.guestInput, sessionId) : null);
  }

  /**
   * @param {Bytes} bytes
   * @returns {Promise<Bytes>}
   */
  sealInput(bytes) {
    if (!this.input) throw new ProtocolError("inputNotAllowed", "this guest may only watch");
    return this.input.seal(new Header(kinds.input, this.generation, this.nextInput++), bytes);
  }

  /**
   * @param {Bytes} message
   * @returns {Promise<Bytes>}
   */
  sealFeedback(message) {
    return this.feedback.seal(new Header(kinds.feedback, this.generation, this.nextFeedback++), message);
  }

  /**
   * @param {Header} header
   * @param {Bytes} frame
   */
  async open(header, frame) {
    if (header.epoch !== this.generation) throw new ProtocolError("staleGeneration", "a message was encrypted with replaced keys");
    if (header.kind !== kinds.direct && header.kind !== kinds.snapshot) {
      throw new ProtocolError("wrongDirection", "a message came from the wrong side");
    }
    const plaintext = await this.fromHost.open(header, frame);
    if (header.sequence < this.nextFromHost) throw new ProtocolError("replayed", "a message was replayed");
    if (header.sequence !== this.nextFromHost) throw new ProtocolError("gap", "messages are missing");
    this.nextFromHost += 1;
    return directMessage(plaintext);
  }
}

/** @param {Bytes} plaintext */
function directMessage(plaintext) {
  const reader = new Reader(plaintext);
  const type = reader.byte();
  switch (type) {
    case 0:
      return { type: /** @type {const} */ ("welcome"), signingKey: reader.take(32), isLossless: (reader.byte() & 1) === 1,
        title: text(reader.rest()) };
    case 1: return { type: /** @type {const} */ ("epochKey"), epoch: reader.uint32(), key: reader.take(32) };
    case 2:
      return { type: /** @type {const} */ ("snapshot"), sequence: reader.uint64(), hash: reader.take(32), rows: reader.uint16(),
        columns: reader.uint16(), output: reader.rest() };
    case 3: return { type: /** @type {const} */ ("approvalPending") };
    case 4: return { type: /** @type {const} */ ("inputTaken"), total: reader.uint64() };
    default: throw new ProtocolError("malformed", "a message is malformed");
  }
}

export const feedback = {
  /** @param {string} name */
  name: (name) => concat([0], utf8(name).subarray(0, 64)),
  /** @param {number} sequence */
  acknowledge: (sequence) => concat([1], uint64(sequence)),
  snapshotRequest: () => new Uint8Array([2]),
};

/** Twice what an honest host leaves unsigned, plus one frame, in bytes. */
const UNSIGNED_LIMIT = 2 * (64 << 10) + (1 << 20);
/** Epoch keys kept. */
const EPOCHS_KEPT = 64;

/** This guest's view of the host's broadcast: in order, without gaps, and given out only once the host has signed it. */
export class BroadcastOpener {
  /**
   * @param {string} sessionId
   * @param {Verifier} verifier
   */
  constructor(sessionId, verifier) {
    this.sessionId = sessionId;
    this.verifier = verifier;
    /** @type {Map<number, FrameKey>} */
    this.epochs = new Map();
    /** @type {Bytes} */
    this.hash = new Uint8Array(32);
    /** @type {ReturnType<typeof broadcastMessage>[]} */
    this.pending = [];
    this.pendingBytes = 0;
    /**
     * The last frame that was opened; null before the first snapshot.
     * @type {number | null}
     */
    this.lastSequence = null;
    /** The last frame whose content was given out. */
    this.lastVerified = 0;
  }

  /**
   * @param {string} sessionId
   * @param {Bytes} signingKey
   */
  static async from(sessionId, signingKey) {
    return new BroadcastOpener(sessionId, await Verifier.from(signingKey));
  }

  /**
   * Whether a key of this epoch can still come: keys are sent in order, and each only once in a generation.
   * @param {number} epoch
   */
  keyCanStillArrive(epoch) {
    return this.epochs.size === 0 || epoch > Math.max(...this.epochs.keys());
  }

  /**
   * @param {number} epoch
   * @param {Bytes} key
   */
  async addEpoch(epoch, key) {
    this.epochs.set(epoch, await FrameKey.from(key, streams.broadcast, this.sessionId));
    if (this.epochs.size > EPOCHS_KEPT) this.epochs.delete(Math.min(...this.epochs.keys()));
  }

  /**
   * Goes on from a state that the host sent to this guest alone.
   * @param {{hash: Bytes, sequence: number}} snapshot
   */
  reset(snapshot) {
    this.hash = snapshot.hash;
    this.pending = [];
    this.pendingBytes = 0;
    this.lastSequence = snapshot.sequence;
    this.lastVerified = snapshot.sequence;
  }

  /**
   * @param {Header} header
   * @param {Bytes} frame what the host's signature covers now, in order; often nothing yet
   */
  async open(header, frame) {
    if (this.lastSequence === null) throw new ProtocolError("gap", "messages are missing");
    if (header.sequence <= this.lastSequence) throw new ProtocolError("replayed", "a message was replayed");
    if (header.sequence !== this.lastSequence + 1) throw new ProtocolError("gap", "messages are missing");
    const key = this.epochs.get(header.epoch);
    if (!key) throw new ProtocolError("unknownEpoch", `there is no key for epoch ${header.epoch}`);
    const plaintext = await key.open(header, frame);
    const reader = new Reader(plaintext);
    const isSignature = reader.byte() === 2;
    if (isSignature) {
      const signed = concat(
        utf8("postern.v1 stream"), [0], utf8(this.sessionId), [0], uint32(header.epoch), header.sequenceBytes, this.hash);
      if (!await this.verifier.isValid(reader.take(64), signed)) {
        throw new ProtocolError("forged", "output was forged by somebody other than the host");
      }
    } else {
      this.pending.push(broadcastMessage(plaintext));
      this.pendingBytes += plaintext.length;
      if (this.pendingBytes > UNSIGNED_LIMIT) throw new ProtocolError("unsigned", "output was not signed in time");
    }
    // The host hashed the frame with slot 0; broadcasts arrive as they were sealed.
    this.hash = await sha256(concat(this.hash, frame));
    this.lastSequence = header.sequence;
    if (!isSignature) return [];
    const verified = this.pending;
    this.pending = [];
    this.pendingBytes = 0;
    this.lastVerified = header.sequence;
    return verified;
  }
}

/** @param {Bytes} plaintext */
function broadcastMessage(plaintext) {
  const reader = new Reader(plaintext);
  switch (reader.byte()) {
    case 0: return { type: /** @type {const} */ ("output"), bytes: reader.rest() };
    case 1: return { type: /** @type {const} */ ("size"), rows: reader.uint16(), columns: reader.uint16() };
    case 3: return { type: /** @type {const} */ ("exited"), status: reader.uint32() };
    case 4: return { type: /** @type {const} */ ("skipped") };
    case 5: return { type: /** @type {const} */ ("stopped") };
    default: throw new ProtocolError("malformed", "a message is malformed");
  }
}


