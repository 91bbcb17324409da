// @ts-check
// What a guest types, on its way to the shared command: sent within the host's credit, and remembered until the host confirms it
// (SessionHost/Guest/GuestInput.swift). Counts bytes from the pairing on. After a reconnect nothing is sent before the host has said how
// many it has accepted: whoever makes a connection drop must not choose which keystrokes are left out.

import { concat } from "./bytes.js";

/** Bytes that may be unconfirmed. */
const CREDIT = 16 << 10;
/** Bytes that may wait, in this page's memory alone; more are dropped, and the person is told. */
const WAITING_LIMIT = 64 << 20;

export class GuestInput {
  constructor() {
    /** @type {Uint8Array} */
    this.waiting = new Uint8Array();
    this.sent = 0;
    this.confirmed = 0;
    this.awaitsCount = false;
  }

  get unconfirmedBytes() {
    return this.sent - this.confirmed + this.waiting.length;
  }

  /**
   * @param {Uint8Array} bytes
   * @returns {number} bytes at the end that there was no room for
   */
  typed(bytes) {
    const kept = bytes.subarray(0, WAITING_LIMIT - this.waiting.length);
    this.waiting = concat(this.waiting, kept);
    return bytes.length - kept.length;
  }

  /** The next piece to send; null when nothing waits, or nothing may be sent now. */
  next() {
    const count = Math.min(this.waiting.length, CREDIT - (this.sent - this.confirmed));
    if (this.awaitsCount || count <= 0) return null;
    const piece = this.waiting.slice(0, count);
    this.waiting = this.waiting.subarray(count);
    this.sent += count;
    return piece;
  }

  /** The connection is lost, the host is away, or keys are replaced. A rekey follows, and then the host's count. */
  interrupt() {
    this.awaitsCount = true;
  }

  /**
   * The host has taken so many bytes since the pairing.
   * @param {number} total
   * @returns {number} bytes that did not arrive, with what waited behind them
   */
  taken(total) {
    total = Math.min(total, this.sent);
    if (!this.awaitsCount) {
      this.confirmed = Math.max(this.confirmed, total);
      return 0;
    }
    this.awaitsCount = false;
    const lost = this.sent > total ? this.sent - total + this.waiting.length : 0;
    if (lost > 0) this.waiting = new Uint8Array();
    this.sent = total;
    this.confirmed = total;
    return lost;
  }

  /**
   * The pairing is over, and with it the host's count.
   * @returns {number} bytes that nobody will confirm any more
   */
  reset() {
    const lost = this.unconfirmedBytes;
    this.waiting = new Uint8Array();
    this.sent = 0;
    this.confirmed = 0;
    this.awaitsCount = false;
    return lost;
  }
}
