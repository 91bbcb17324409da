// @ts-check
// What keys, mouse and paste are to a terminal: pure functions from events to bytes, as xterm sends them.

import { concat, utf8 } from "./bytes.js";
import { flags } from "./screen.js";

const ESCAPE = "\x1b";
/**
 * Final bytes of CSI (or SS3) sequences.
 * @type {Record<string, string>}
 */
const cursorKeys = { ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F" };
/**
 * Numbers of CSI … ~ sequences.
 * @type {Record<string, number>}
 */
const tildeKeys = { Insert: 2, Delete: 3, PageUp: 5, PageDown: 6, F5: 15, F6: 17, F7: 18, F8: 19, F9: 20, F10: 21, F11: 23, F12: 24 };
/** @type {Record<string, string>} */
const functionKeys = { F1: "P", F2: "Q", F3: "R", F4: "S" };
/**
 * Ctrl with these gives a control character.
 * @type {Record<string, number>}
 */
const controls = { "@": 0, " ": 0, "2": 0, "[": 27, "3": 27, "\\": 28, "4": 28, "]": 29, "5": 29, "^": 30, "6": 30, "_": 31, "7": 31, "/": 31, "8": 127, "?": 127 };

const isApple = /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? "");

/**
 * @param {{key: string, ctrlKey: boolean, altKey: boolean, shiftKey: boolean, metaKey: boolean, isComposing?: boolean, code?: string, keyCode?: number,
 *   getModifierState?: (name: string) => boolean}} event
 * @param {number} modes the screen's flags
 * @returns {string | null} what to send; null leaves the key to the browser
 */
export function keyText(event, modes) {
  const { key } = event;
  // An input method, a dead key, and what Cmd or Super means are the browser's.
  // 229: Safari's Return that ends a composition.
  if (event.isComposing || event.keyCode === 229 || event.metaKey || key === "Dead" || key === "Process" || key === "Unidentified") return null;
  const isAltGraph = event.getModifierState?.("AltGraph") ?? false;
  // Option writes characters on Apple's keyboards: @ and [ among them, on many layouts.
  const isOption = isApple && event.altKey && !event.ctrlKey && [...key].length === 1;
  const alt = event.altKey && !isAltGraph && !isOption;
  const control = event.ctrlKey && !isAltGraph;
  const modifier = 1 + (event.shiftKey ? 1 : 0) + (alt ? 2 : 0) + (control ? 4 : 0);
  if (key in cursorKeys) {
    if (modifier > 1) return `${ESCAPE}[1;${modifier}${cursorKeys[key]}`;
    return ESCAPE + (modes & flags.cursorKeys ? "O" : "[") + cursorKeys[key];
  }
  if (key in tildeKeys) return `${ESCAPE}[${tildeKeys[key]}${modifier > 1 ? `;${modifier}` : ""}~`;
  if (key in functionKeys) return modifier > 1 ? `${ESCAPE}[1;${modifier}${functionKeys[key]}` : `${ESCAPE}O${functionKeys[key]}`;
  const prefix = alt ? ESCAPE : "";
  switch (key) {
    case "Enter": return prefix + "\r";
    case "Escape": return prefix + ESCAPE;
    case "Backspace": return prefix + (control ? "\b" : "\x7f");
    case "Tab": return event.shiftKey ? `${ESCAPE}[Z` : prefix + "\t";
  }
  // Everything longer is the name of a key that a terminal does not know.
  if ([...key].length !== 1) return null;
  if (!control) return prefix + key;
  // Copy and paste with Shift are the browser's.
  if (event.shiftKey && /^[cv]$/i.test(key)) return null;
  // By its place where the layout is not Latin: Ctrl-C is Ctrl and the key of C everywhere.
  const place = /^Key([A-Z])$/.exec(event.code ?? "")?.[1].toLowerCase();
  const letter = /^[a-z]$/i.test(key) || key in controls ? key.toLowerCase() : place ?? key;
  if (letter >= "a" && letter <= "z") return prefix + String.fromCharCode(letter.charCodeAt(0) - 96);
  return key in controls ? prefix + String.fromCharCode(controls[key]) : null;
}

/**
 * Pasted text, without what could end a bracketed paste.
 * @param {string} text
 * @param {number} modes
 */
export function pasteText(text, modes) {
  const typed = text.replaceAll("\r\n", "\r").replaceAll("\n", "\r")
    // No control character but Tab and Return: some end a bracketed paste, or interrupt what reads it.
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g, "");
  return modes & flags.bracketedPaste ? `${ESCAPE}[200~${typed}${ESCAPE}[201~` : typed;
}

/**
 * One mouse event, where the program asked for it.
 * @param {"down" | "up" | "move" | "wheelUp" | "wheelDown"} kind
 * @param {{row: number, column: number}} cell
 * @param {{button: number, buttons: number, shiftKey: boolean, altKey: boolean, ctrlKey: boolean}} event
 * @param {number} mode 0, 9, 1000, 1002 or 1003
 * @param {number} encoding 0, 1005, 1006 or 1015
 * @returns {Uint8Array | null}
 */
export function mouseBytes(kind, cell, event, mode, encoding) {
  if (mode === 0 || mode === 9 && kind !== "down") return null;
  if (kind === "move" && (mode === 1000 || mode === 1002 && event.buttons === 0)) return null;
  let button = kind === "wheelUp" ? 64 : kind === "wheelDown" ? 65 : event.button;
  if (kind === "move") button = 32 + (event.buttons & 1 ? 0 : event.buttons & 4 ? 1 : event.buttons & 2 ? 2 : 3);
  if (mode !== 9) button += (event.shiftKey ? 4 : 0) + (event.altKey ? 8 : 0) + (event.ctrlKey ? 16 : 0);
  const [column, row] = [cell.column + 1, cell.row + 1];
  if (encoding === 1006) return utf8(`${ESCAPE}[<${button};${column};${row}${kind === "up" ? "m" : "M"}`);
  if (kind === "up") button = button & ~3 | 3;
  if (encoding === 1015) return utf8(`${ESCAPE}[${button + 32};${column};${row}M`);
  if (encoding === 1005) return utf8(`${ESCAPE}[M${String.fromCodePoint(32 + button, 32 + column, 32 + row)}`);
  // One byte each: what is farther right or down cannot be said.
  if (column > 223 || row > 223) return null;
  return concat(utf8(`${ESCAPE}[M`), [32 + button, 32 + column, 32 + row]);
}
