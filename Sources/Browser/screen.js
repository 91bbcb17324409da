// @ts-check
// The terminal's screen: Sources/Terminal, compiled to WebAssembly. The same parser and the same cells as host and guest have on the
// command line. See Sources/BrowserTerminal/Exports.swift for the layout of what is read here.

const decoder = new TextDecoder();

/** @typedef {{text: string, foreground: number, background: number, attributes: number, columns: number, isBoxed: boolean,
 *   link: string}} Run */
/**
 * @typedef {object} Painting
 * @property {number} flags
 * @property {number} cursorRow
 * @property {number} cursorColumn
 * @property {number} cursorShape
 * @property {number} mouse
 * @property {number} mouseEncoding
 * @property {number} rows
 * @property {number} columns
 * @property {number} bells
 * @property {string} title
 * @property {{index: number, text: string}[] | null} colours that a program has changed: all of them, or null if they are as before
 * @property {boolean} historyIsVoid
 * @property {Run[][]} history new lines that have scrolled off, oldest first
 * @property {{index: number, runs: Run[]}[]} changed
 */

export const flags = { cursorVisible: 1, cursorKeys: 2, keypad: 4, bracketedPaste: 8, focusEvents: 16, reverse: 32, alternate: 64 };
export const attributes = { bold: 1, faint: 2, italic: 4, underline: 8, blink: 16, inverse: 32, hidden: 64, struck: 128 };

export class Screen {
  /** @param {any} exports of the module */
  constructor(exports) {
    this.exports = exports;
  }

  /** @param {string | URL | Promise<Response>} source */
  static async load(source) {
    const response = source instanceof Promise ? source : fetch(source);
    const { instance } = await WebAssembly.instantiateStreaming(response);
    return new Screen(instance.exports);
  }

  /**
   * @param {number} rows
   * @param {number} columns
   */
  restart(rows, columns) {
    this.exports.terminal_restart(rows, columns);
  }

  /**
   * @param {number} rows
   * @param {number} columns
   */
  resize(rows, columns) {
    this.exports.terminal_resize(rows, columns);
  }

  /** @param {Uint8Array} bytes */
  feed(bytes) {
    const place = this.exports.terminal_input(bytes.length);
    new Uint8Array(this.exports.memory.buffer, place, bytes.length).set(bytes);
    this.exports.terminal_feed(bytes.length);
  }

  /**
   * The Elligator 2 map, for CPace.
   * @type {import("./handshake.js").Elligator}
   */
  elligator = (bytes) => {
    const place = this.exports.terminal_input(32);
    new Uint8Array(this.exports.memory.buffer, place, 32).set(bytes);
    this.exports.elligator();
    return new Uint8Array(this.exports.memory.buffer, place, 32).slice();
  };

  /**
   * What has changed since the last call.
   * @returns {Painting}
   */
  paint() {
    const place = this.exports.terminal_paint();
    const memory = this.exports.memory.buffer;
    const view = new DataView(memory, place + 4, new DataView(memory).getUint32(place, true));
    let offset = 0;
    const next = () => {
      offset += 4;
      return view.getUint32(offset - 4, true);
    };
    /** @param {number} length */
    const nextText = (length) => {
      const found = decoder.decode(new Uint8Array(memory, place + 4 + offset, length));
      offset += (length + 3) & ~3;
      return found;
    };
    const line = () => Array.from({ length: next() }, () => {
      const [foreground, background, style, columns] = [next(), next(), next(), next()];
      const text = nextText(next());
      const link = nextText(next());
      return { text, link, foreground, background, attributes: style & 0xffff, columns, isBoxed: style >> 16 !== 0 };
    });
    return {
      flags: next(), cursorRow: next(), cursorColumn: next(), cursorShape: next(), mouse: next(), mouseEncoding: next(),
      rows: next(), columns: next(), bells: next(), title: nextText(next()),
      colours: next() === 0 ? null : Array.from({ length: next() }, () => ({ index: next(), text: nextText(next()) })),
      historyIsVoid: next() !== 0,
      history: Array.from({ length: next() }, line),
      changed: Array.from({ length: next() }, () => ({ index: next(), runs: line() })),
    };
  }
}
