// @ts-check
// How a guest proves that it knows a code's secret, and gets fresh keys after a reconnect: CPace over X25519 and SHA-512
// (draft-irtf-cfrg-cpace-21), HKDF and HMAC with SHA-256. The host's side is Sources/EndToEnd.

import { concat, equal, fromBase64, ProtocolError, random, Reader, toBase64, uint32, utf8 } from "./bytes.js";
import { hkdf, hmac, hmacIsValid, PrivateKey, sha256, sha512 } from "./cryptography.js";
import { PairwiseChannel } from "./frames.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {{code: string, secret: string, kind: 0 | 1}} Invitation kind 0 is two words, 1 a link's secret */
/** @typedef {(bytes: Bytes) => Bytes} Elligator the map to a point of Curve25519, which WebCrypto does not have */

const VERSION = 2;
const DOMAIN = utf8("CPace255");
const HASH_BLOCK = 128;

/**
 * The length in LEB128, then the bytes.
 * @param {Uint8Array} bytes
 */
function withLength(bytes) {
  const prefix = [];
  let length = bytes.length;
  do {
    const low = length & 0x7f;
    length >>= 7;
    prefix.push(length > 0 ? low | 0x80 : low);
  } while (length > 0);
  return concat(prefix, bytes);
}

/**
 * Each element behind its length.
 * @param {Uint8Array[]} elements
 */
const list = (...elements) => concat(...elements.map(withLength));

/**
 * @param {Bytes} secret
 * @param {Bytes} channel
 * @param {Bytes} sid
 * @param {Elligator} elligator
 */
export async function generator(secret, channel, sid, elligator) {
  const padding = Math.max(0, HASH_BLOCK - withLength(secret).length - withLength(DOMAIN).length - 1);
  const hash = await sha512(list(DOMAIN, secret, new Uint8Array(padding), channel, sid));
  return elligator(hash.slice(0, 32));
}

/**
 * The intermediate session key.
 * @param {Bytes} shared
 * @param {Bytes} sid
 * @param {[Bytes, Bytes]} initiator its point and data
 * @param {[Bytes, Bytes]} responder
 */
export const sessionKey = (shared, sid, initiator, responder) =>
  sha512(concat(list(concat(DOMAIN, utf8("_ISK")), sid, shared), list(...initiator), list(...responder)));

/** Messages travel base64-coded in `keyExchange.payload`; the first byte says which it is. */
export const messages = {
  /**
   * @param {Invitation} invitation
   * @param {Bytes} nonce
   */
  hello: (invitation, nonce) => concat([1, VERSION, invitation.kind], nonce, utf8(invitation.code)),
  /**
   * @param {Bytes} point
   * @param {Bytes} confirmation
   */
  proof: (point, confirmation) => concat([3], point, confirmation),
  /**
   * @param {Bytes} key
   * @param {Bytes} tag
   */
  rekey: (key, tag) => concat([6], key, tag),
};

/**
 * What the host can say.
 * @param {string} payload
 */
export function hostMessage(payload) {
  const reader = new Reader(fromBase64(payload));
  const message = read(reader);
  if (!reader.isAtEnd) throw new ProtocolError("malformed", "a message is malformed");
  return message;
}

/** @param {Reader} reader */
function read(reader) {
  switch (reader.byte()) {
    case 2: return { type: /** @type {const} */ ("offer"), nonce: reader.take(16), point: reader.take(32), guestNonce: reader.take(16) };
    case 4: return { type: /** @type {const} */ ("accept"), confirmation: reader.take(32) };
    case 5: return { type: /** @type {const} */ ("reject"), reason: reader.byte() };
    case 7: return { type: /** @type {const} */ ("rekeyed"), generation: reader.uint32(), key: reader.take(32), tag: reader.take(32) };
    default: throw new ProtocolError("malformed", "a message is malformed");
  }
}

/** Base64, as `payload` carries a message. */
export { toBase64 as payload };

/** The guest's side of one handshake. */
export class GuestHandshake {
  /**
   * @param {string} sessionId
   * @param {string} permission what the relay said the code gives; a lie makes the proof fail
   * @param {Invitation} invitation
   * @param {Elligator} elligator
   */
  constructor(sessionId, permission, invitation, elligator) {
    this.sessionId = sessionId;
    this.permission = permission;
    this.invitation = invitation;
    this.elligator = elligator;
    this.nonce = random(16);
    this.hello = messages.hello(invitation, this.nonce);
    this.hasAnswered = false;
    /** @type {PairingKeys | null} */
    this.keys = null;
  }

  /**
   * Answers the host's offer with a proof; once, for a proof lets the other side test one guess.
   * @param {{nonce: Bytes, point: Bytes, guestNonce: Bytes}} offer
   * @returns {Promise<Bytes | null>} null for an offer that answers another hello, and for any but the first
   */
  async answer(offer) {
    if (this.hasAnswered || !equal(offer.guestNonce, this.nonce)) return null;
    this.hasAnswered = true;
    const sid = (await sha512(concat(this.nonce, offer.nonce))).slice(0, 16);
    const channel = list(utf8("postern.v1"), utf8(this.sessionId), utf8(this.permission), new Uint8Array([this.invitation.kind]));
    const base = await generator(utf8(this.invitation.secret), channel, sid, this.elligator);
    const scalar = await PrivateKey.generate();
    const point = await scalar.multiply(base);
    // The host sends its point first and is the initiator. Associated data: the host none, the guest its hello.
    const shared = await scalar.multiply(offer.point);
    const key = await sessionKey(shared, sid, [offer.point, new Uint8Array()], [point, this.hello]);
    const transcript = await sha256(list(this.hello, offer.nonce, offer.point, point));
    this.keys = new PairingKeys(key, transcript);
    return messages.proof(point, await this.keys.confirmation("guest"));
  }

  /**
   * Checks the host's confirmation; only then does anything the host says count.
   * @param {Bytes} confirmation
   */
  async finish(confirmation) {
    if (!this.keys || !await this.keys.confirms("host", confirmation)) {
      throw new ProtocolError("wrongSecret", "the words (or the link) are wrong");
    }
    return new Pairing(this.keys, await this.keys.derive("resume"), this.permission, this.sessionId);
  }
}

/** Everything that is derived from one successful exchange. */
class PairingKeys {
  /**
   * @param {Bytes} root
   * @param {Bytes} transcript
   */
  constructor(root, transcript) {
    this.root = root;
    this.transcript = transcript;
  }

  /** @param {string} label */
  derive(label) {
    return hkdf(this.root, this.transcript, utf8(`postern.v1 ${label}`));
  }

  /** @param {"host" | "guest"} side */
  async confirmation(side) {
    return hmac(await this.derive(`confirm ${side}`), this.transcript);
  }

  /**
   * @param {"host" | "guest"} side
   * @param {Bytes} tag
   */
  async confirms(side, tag) {
    return hmacIsValid(await this.derive(`confirm ${side}`), tag, this.transcript);
  }
}

/** What the host and this guest share after the handshake, for as long as the session lasts. */
export class Pairing {
  /**
   * @param {PairingKeys} keys
   * @param {Bytes} resumeKey
   * @param {string} permission
   * @param {string} sessionId
   */
  constructor(keys, resumeKey, permission, sessionId) {
    this.keys = keys;
    this.resumeKey = resumeKey;
    this.permission = permission;
    this.sessionId = sessionId;
  }

  get canType() {
    return this.permission === "control";
  }

  /** The channel of the first connection, generation 0. */
  channel() {
    return PairwiseChannel.from(this.sessionId, this.canType, 0, (label) => this.keys.derive(label));
  }

  /**
   * Asks for new keys.
   * @param {PrivateKey} own
   */
  async rekeyRequest(own) {
    return messages.rekey(own.publicKey, await hmac(this.resumeKey, concat(utf8("rekey"), own.publicKey)));
  }

  /**
   * @param {PrivateKey} own
   * @param {{generation: number, key: Bytes, tag: Bytes}} answer
   */
  async finishRekey(own, answer) {
    const signed = concat(utf8(`rekeyed ${answer.generation}`), answer.key, own.publicKey);
    if (!await hmacIsValid(this.resumeKey, answer.tag, signed)) {
      throw new ProtocolError("notAuthentic", "a message was changed in transit");
    }
    const shared = await own.multiply(answer.key);
    const context = concat(uint32(answer.generation), own.publicKey, answer.key);
    return PairwiseChannel.from(this.sessionId, this.canType, answer.generation, (label) =>
      hkdf(shared, this.resumeKey, concat(utf8(`postern.v1 ${label}`), context)));
  }
}
