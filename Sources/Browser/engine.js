// @ts-check
// The guest's side of a share as a state machine: events in, actions out, no socket, no page, no clock. It follows
// SessionHost/Guest/GuestEngine.swift step by step. Methods are asynchronous because WebCrypto is: the caller runs one at a time.

import { ProtocolError } from "./bytes.js";
import { PrivateKey } from "./cryptography.js";
import { BroadcastOpener, feedback, Header, kinds } from "./frames.js";
import { GuestHandshake, hostMessage, payload } from "./handshake.js";
import { GuestInput } from "./input.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./handshake.js").Pairing} Pairing */
/** @typedef {import("./frames.js").PairwiseChannel} PairwiseChannel */
/**
 * What the caller carries out.
 * @typedef {{do: "send", message: Record<string, unknown>} | {do: "frame", bytes: Bytes} | {do: "show", bytes: Bytes}
 *   | {do: "restart" | "resize", rows: number, columns: number} | {do: "status", status: Status} | {do: "reconnect"}
 *   | {do: "finish", ending: Ending}} Action
 */
/**
 * What the person is told while it goes on.
 * @typedef {{name: "joined" | "waitingForHost" | "waitingForApproval" | "hostAway" | "disconnected" | "back" | "skipped"}
 *   | {name: "inputLost", bytes: number}} Status
 */
/**
 * How it ended. `refused`, `removed` and `cutShort` are the server's word; `ended` the host's, signed.
 * @typedef {{name: "ended", status: number | null} | {name: "cutShort" | "refused" | "removed" | "tampering" | "rejected", why: string}
 *   | {name: "impostor"}} Ending
 */
/**
 * What the host has told a guest that it let in. Frames of an epoch whose key is on its way wait; null: nothing makes sense before the
 * next snapshot.
 * @typedef {{isLossless: boolean, title: string, opener: BroadcastOpener, waiting: Bytes[] | null, waitingBytes: number,
 *   unacknowledged: number}} Admitted
 */

/** Acknowledgements are sent at least this often, in bytes shown. */
const ACKNOWLEDGE_EVERY = 64 << 10;
/** Frames that wait for an epoch's key, in bytes: a key is two messages away. */
const WAITING_LIMIT = 4 << 20;
/** Proofs that a guest sends without ever seeing one confirmed. */
const UNCONFIRMED_PROOFS = 5;
/** Close codes after which coming back is no use. */
const FINAL_CODES = new Set([4400, 4401, 4403, 4404, 4409]);
const REJECTIONS = ["", "wrongSecret", "codeDead", "notApproved", "wrongVersion", "unknownCode", "notPaired", "tampered"];

export class GuestEngine {
  /** @type {{resumeToken: string, isForSeatOnly: boolean} | null} */
  #seat = null;
  /** @type {{stage: "joining" | "waitingForHost"} | {stage: "proving", handshake: GuestHandshake} | {stage: "paired"}} */
  #link = { stage: "joining" };
  /** @type {Pairing | null} */
  #pairing = null;
  /**
   * The keys of this connection; null until a rekey.
   * @type {PairwiseChannel | null}
   */
  #channel = null;
  /** @type {PrivateKey | null} */
  #rekey = null;
  /** @type {Admitted | null} */
  #admitted = null;
  #unconfirmedProofs = 0;
  /**
   * How the host says that the share ended; believed because it signed it.
   * @type {Ending | null}
   */
  #signedEnd = null;
  #input = new GuestInput();
  #sessionId = "";
  #hasScreen = false;
  permission = "read";
  title = "";
  hostName = "";
  /** Counts the host's confirmations of input. */
  confirmations = 0;
  /** Bytes that were typed and did not arrive, and that the person has not been seen to know of. Until then nothing more is typed. */
  lostInput = 0;

  /**
   * @param {import("./handshake.js").Invitation} invitation
   * @param {string} name what the host sees of this guest
   * @param {import("./handshake.js").Elligator} elligator
   */
  constructor(invitation, name, elligator) {
    this.invitation = invitation;
    this.name = name;
    this.elligator = elligator;
  }

  get canType() {
    return this.permission === "control" && (this.#admitted !== null || this.#hasScreen) && this.lostInput === 0;
  }

  get unconfirmedInput() {
    return this.#input.unconfirmedBytes;
  }

  // The connection

  /** @returns {Action[]} */
  opened() {
    this.#channel = null;
    this.#rekey = null;
    if (this.#admitted?.waiting) this.#clearWaiting(this.#admitted);
    if (this.#seat) {
      /** @type {Record<string, unknown>} */
      const message = { type: "resume", id: "resume", resumeToken: this.#seat.resumeToken, binary: true };
      if (this.#admitted?.waiting && !this.#seat.isForSeatOnly && this.#admitted.opener.lastSequence !== null) {
        message.lastSequence = this.#admitted.opener.lastSequence;
      }
      return [{ do: "send", message }];
    }
    this.#link = { stage: "joining" };
    // The contract wants a key; the handshake makes its own, which the relay cannot exchange.
    return [{ do: "send", message: { type: "joinAsGuest", id: "join", code: this.invitation.code, guestPublicKey: "cpace", binary: true } }];
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @returns {Action[]}
   */
  closed(code, reason) {
    // What the host signed counts more than how the connection ends.
    if (FINAL_CODES.has(code)) return [{ do: "finish", ending: this.#signedEnd ?? { name: "removed", why: reason } }];
    this.#interrupt();
    return [{ do: "status", status: { name: "disconnected" } }, { do: "reconnect" }];
  }

  // Messages of the relay

  /**
   * @param {any} message a parsed message of the server
   * @returns {Promise<Action[]>}
   */
  async received(message) {
    switch (message.type) {
      case "ack": return this.#acknowledged(message);
      case "keyExchange": return typeof message.payload === "string" ? this.#handshake(message.payload) : [];
      case "peerDisconnected":
        if (message.isHost !== true) return [];
        this.#interrupt();
        return [{ do: "status", status: { name: "hostAway" } }];
      case "peerReturned": return message.isHost === true ? this.#greetHost() : [];
      case "warning":
        if (message.code !== "slow_consumer") return [];
        return [...await this.#askForSnapshot(), { do: "status", status: { name: "skipped" } }];
      case "sessionEnded":
        return [{ do: "finish", ending: this.#signedEnd ?? { name: "cutShort", why: String(message.reason ?? "no reason given") } }];
      default: return [];
    }
  }

  /**
   * @param {any} ack
   * @returns {Promise<Action[]>}
   */
  async #acknowledged(ack) {
    const error = String(ack.error ?? "refused");
    switch (ack.id) {
      case "join":
        if (ack.success !== true || typeof ack.sessionId !== "string") {
          return [{ do: "finish", ending: this.#signedEnd ?? { name: "refused", why: error } }];
        }
        this.#sessionId = ack.sessionId;
        this.permission = ack.permission === "control" ? "control" : "read";
        this.hostName = String(ack.hostUsername ?? "");
        this.#seat = typeof ack.resumeToken === "string" ? { resumeToken: ack.resumeToken, isForSeatOnly: false } : null;
        return this.#hello();
      case "resume":
        if (ack.success === true) {
          if (this.#seat) this.#seat.isForSeatOnly = false;
          return this.#greetHost();
        }
        if (this.#seat && !this.#seat.isForSeatOnly && error === "Resume window passed") {
          // First without what was missed; if the seat is gone, by joining again.
          this.#seat.isForSeatOnly = true;
          if (this.#admitted) this.#admitted.waiting = null;
          return this.opened();
        }
        this.#seat = null;
        return [...this.#unpair(), ...this.opened()];
      case "hello":
      case "rekey":
        if (ack.success === true) return [];
        if (!this.#pairing) this.#link = { stage: "waitingForHost" };
        return [{ do: "status", status: { name: "waitingForHost" } }];
      default: return [];
    }
  }

  // The handshake

  /** @returns {Action[]} */
  #hello() {
    const handshake = new GuestHandshake(this.#sessionId, this.permission, this.invitation, this.elligator);
    this.#link = { stage: "proving", handshake };
    return [this.#exchange("hello", handshake.hello)];
  }

  /**
   * The host is there: it is told who comes, or asked for new keys.
   * @returns {Promise<Action[]>}
   */
  async #greetHost() {
    return this.#pairing ? this.#startRekey() : this.#hello();
  }

  /** @returns {Promise<Action[]>} */
  async #startRekey() {
    if (!this.#pairing) return [];
    this.#rekey = await PrivateKey.generate();
    this.#channel = null;
    this.#input.interrupt();
    return [this.#exchange("rekey", await this.#pairing.rekeyRequest(this.#rekey))];
  }

  /**
   * The host knows this guest no more.
   * @returns {Action[]}
   */
  #unpair() {
    this.#link = { stage: "joining" };
    this.#pairing = null;
    this.#channel = null;
    this.#rekey = null;
    this.#admitted = null;
    return this.#lose(this.#input.reset());
  }

  /**
   * @param {string} id
   * @param {Bytes} message
   * @returns {Action}
   */
  #exchange(id, message) {
    return { do: "send", message: { type: "keyExchange", id, payload: payload(message) } };
  }

  /**
   * @param {string} text
   * @returns {Promise<Action[]>}
   */
  async #handshake(text) {
    let message;
    try {
      message = hostMessage(text);
    } catch {
      return [];
    }
    try {
      return await this.#take(message);
    } catch (error) {
      if (error instanceof ProtocolError && error.code === "wrongSecret") return [{ do: "finish", ending: { name: "impostor" } }];
      return [tampering(error)];
    }
  }

  /**
   * @param {ReturnType<typeof hostMessage>} message
   * @returns {Promise<Action[]>}
   */
  async #take(message) {
    const link = this.#link;
    if (message.type === "offer" && link.stage === "proving") {
      const proof = await link.handshake.answer(message);
      if (!proof) return [];
      this.#unconfirmedProofs += 1;
      if (this.#unconfirmedProofs > UNCONFIRMED_PROOFS) return [{ do: "finish", ending: { name: "impostor" } }];
      return [this.#exchange("proof", proof)];
    }
    if (message.type === "accept" && link.stage === "proving") {
      // An answer to a proof on an earlier connection comes to this one; the proof to this handshake is still to be made.
      if (!link.handshake.keys) return [];
      this.#pairing = await link.handshake.finish(message.confirmation);
      this.#unconfirmedProofs = 0;
      this.#channel = await this.#pairing.channel();
      this.#link = { stage: "paired" };
      return [await this.#feedback(feedback.name(this.name))].flat();
    }
    if (message.type === "reject") {
      const reason = REJECTIONS[message.reason];
      if (!reason) return [];
      if (reason === "notPaired") return this.#pairing ? [...this.#unpair(), ...this.#hello()] : [];
      return [{ do: "finish", ending: { name: "rejected", why: reason } }];
    }
    if (message.type === "rekeyed" && this.#pairing && this.#rekey) {
      // An answer to an earlier request (both sides came back at once) fits no longer; the right one follows.
      try {
        this.#channel = await this.#pairing.finishRekey(this.#rekey, message);
      } catch {
        return [];
      }
      this.#rekey = null;
      // Said again: it may have been lost with the connection, and the host asks its person by name.
      return [
        ...await this.#feedback(feedback.name(this.name)),
        ...await (this.#admitted?.waiting ? this.#acknowledge() : this.#askForSnapshot()),
        { do: "status", status: { name: "back" } },
      ];
    }
    return [];
  }

  // Frames

  /**
   * @param {Bytes} frame
   * @returns {Promise<Action[]>}
   */
  async frame(frame) {
    let header;
    try {
      header = Header.of(frame);
    } catch {
      return [];
    }
    try {
      if (header.kind === kinds.broadcast) return await this.#broadcast(header, frame);
      if (!this.#channel) return [];
      return await this.#direct(await this.#channel.open(header, frame));
    } catch (error) {
      const code = error instanceof ProtocolError ? error.code : "";
      if (code === "staleGeneration") return [];
      if (code === "gap") {
        // The relay drops what waits for a slow guest, so that this need not be an attack: new keys and a snapshot put it right.
        if (this.#admitted) this.#admitted.waiting = null;
        return this.#startRekey();
      }
      return [tampering(error)];
    }
  }

  /**
   * @param {Awaited<ReturnType<PairwiseChannel["open"]>>} message
   * @returns {Promise<Action[]>}
   */
  async #direct(message) {
    switch (message.type) {
      case "welcome":
        this.title = message.title;
        if (this.#admitted) {
          this.#admitted.isLossless = message.isLossless;
          this.#admitted.title = message.title;
        } else {
          const opener = await BroadcastOpener.from(this.#sessionId, message.signingKey);
          this.#admitted = {
            isLossless: message.isLossless, title: message.title, opener, waiting: null, waitingBytes: 0, unacknowledged: 0 };
        }
        return this.#sendInput();
      case "epochKey":
        await this.#admitted?.opener.addEpoch(message.epoch, message.key);
        return [...await this.#retryWaiting(), ...(this.#keyCanStillArrive ? [] : await this.#askForSnapshot())];
      case "snapshot": {
        const admitted = this.#admitted;
        if (!admitted) return [];
        admitted.opener.reset(message);
        if (!admitted.waiting) this.#clearWaiting(admitted);
        admitted.unacknowledged = 0;
        /** @type {Action[]} */
        const actions = [
          { do: "status", status: { name: this.#hasScreen ? "back" : "joined" } },
          { do: "restart", rows: message.rows, columns: message.columns },
        ];
        this.#hasScreen = true;
        if (message.output.length > 0) actions.push({ do: "show", bytes: message.output });
        return [...actions, ...await this.#retryWaiting()];
      }
      case "approvalPending": return [{ do: "status", status: { name: "waitingForApproval" } }];
      case "inputTaken":
        this.confirmations += 1;
        return [...this.#lose(this.#input.taken(message.total)), ...await this.#sendInput()];
    }
  }

  /** @param {Admitted} admitted */
  #clearWaiting(admitted) {
    admitted.waiting = [];
    admitted.waitingBytes = 0;
  }

  /**
   * @param {Header} header
   * @param {Bytes} frame
   * @returns {Promise<Action[]>}
   */
  async #broadcast(header, frame) {
    const admitted = this.#admitted;
    if (!admitted?.waiting) return [];
    if (admitted.waiting.length > 0) return this.#wait(frame, admitted);
    try {
      /** @type {Action[]} */
      const actions = [];
      for (const message of await admitted.opener.open(header, frame)) actions.push(...await this.#show(message, admitted));
      return actions;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (error.code === "unknownEpoch") return this.#wait(frame, admitted);
      if (error.code === "replayed") return [];
      if (error.code === "gap") return this.#askForSnapshot();
      throw error;
    }
  }

  /**
   * Frames of an epoch whose key is on its way are kept; too many mean that it will not come.
   * @param {Bytes} frame
   * @param {Admitted} admitted
   */
  async #wait(frame, admitted) {
    admitted.waiting?.push(frame);
    admitted.waitingBytes += frame.length;
    return admitted.waitingBytes > WAITING_LIMIT || !this.#keyCanStillArrive ? this.#askForSnapshot() : [];
  }

  /** False if the first waiting frame can never be opened: then its header was modified. True if nothing waits. */
  get #keyCanStillArrive() {
    const waiting = this.#admitted?.waiting;
    if (!this.#admitted || !waiting || waiting.length === 0) return true;
    const first = Header.of(waiting[0]).epoch;
    return this.#admitted.opener.keyCanStillArrive(first) && Header.of(waiting[waiting.length - 1]).epoch >= first;
  }

  /** @returns {Promise<Action[]>} */
  async #retryWaiting() {
    const admitted = this.#admitted;
    if (!admitted?.waiting) return [];
    const frames = admitted.waiting;
    this.#clearWaiting(admitted);
    /** @type {Action[]} */
    const actions = [];
    for (const frame of frames) actions.push(...await this.#broadcast(Header.of(frame), frame));
    return actions;
  }

  /** @returns {Promise<Action[]>} */
  async #askForSnapshot() {
    if (this.#admitted) this.#admitted.waiting = null;
    return this.#feedback(feedback.snapshotRequest());
  }

  /**
   * @param {Awaited<ReturnType<BroadcastOpener["open"]>>[number]} message
   * @param {Admitted} admitted
   * @returns {Promise<Action[]>}
   */
  async #show(message, admitted) {
    switch (message.type) {
      case "output":
        admitted.unacknowledged += message.bytes.length;
        return [{ do: "show", bytes: message.bytes }];
      case "size": return [{ do: "resize", rows: message.rows, columns: message.columns }];
      case "exited":
        this.#signedEnd = { name: "ended", status: message.status };
        return this.#acknowledge();
      case "stopped":
        this.#signedEnd = { name: "ended", status: null };
        return this.#acknowledge();
      case "skipped":
        // The host sends a snapshot right behind; if that is lost, the guest asks when it is back.
        admitted.waiting = null;
        return [];
    }
  }

  // Acknowledging

  /**
   * Everything given out so far has reached the screen.
   * @returns {Promise<Action[]>}
   */
  async shown() {
    return (this.#admitted?.unacknowledged ?? 0) >= ACKNOWLEDGE_EVERY ? this.#acknowledge() : [];
  }

  /** @returns {Promise<Action[]>} */
  async #acknowledge() {
    const admitted = this.#admitted;
    if (!admitted?.isLossless || !this.#channel) return [];
    admitted.unacknowledged = 0;
    return this.#feedback(feedback.acknowledge(admitted.opener.lastVerified));
  }

  /**
   * @param {Bytes} message
   * @returns {Promise<Action[]>}
   */
  async #feedback(message) {
    return this.#channel ? [{ do: "frame", bytes: await this.#channel.sealFeedback(message) }] : [];
  }

  // The person

  /** Nobody takes what would be sent now. */
  #interrupt() {
    if (this.#pairing) this.#input.interrupt();
  }

  /**
   * Sends it, or keeps it until the host is back.
   * @param {Uint8Array} bytes
   * @returns {Promise<Action[]>}
   */
  async typed(bytes) {
    if (!this.canType) return [];
    return [...this.#lose(this.#input.typed(bytes)), ...await this.#sendInput()];
  }

  /**
   * The guest calls itself otherwise.
   * @param {string} name
   * @returns {Promise<Action[]>}
   */
  async rename(name) {
    if (name === this.name) return [];
    this.name = name;
    return this.#feedback(feedback.name(name));
  }

  /** The person has seen that input was lost, and goes on. */
  continueInput() {
    this.lostInput = 0;
  }

  /** @returns {Promise<Action[]>} */
  async #sendInput() {
    /** @type {Action[]} */
    const actions = [];
    while (this.#admitted && this.#channel?.input) {
      const bytes = this.#input.next();
      if (!bytes) break;
      actions.push({ do: "frame", bytes: await this.#channel.sealInput(bytes) });
    }
    return actions;
  }

  /**
   * @param {number} bytes
   * @returns {Action[]}
   */
  #lose(bytes) {
    if (bytes <= 0) return [];
    this.lostInput += bytes;
    return [{ do: "status", status: { name: "inputLost", bytes: this.lostInput } }];
  }
}

/**
 * @param {unknown} error
 * @returns {Action}
 */
const tampering = (error) => {
  // A mistake of ours is not called an attack.
  if (!(error instanceof ProtocolError)) throw error;
  return { do: "finish", ending: { name: "tampering", why: error.message } };
};
