// A host for tests of the browser's guest: enough of Sources/EndToEnd's host side to prove, welcome, and broadcast. Given the page's own
// modules, so that both sides use one WebCrypto.

/* exported makeHost */
async function makeHost({ bytes, cryptography, handshake, frames }, invitation, elligator, sessionId, permission) {
  const { concat, uint32, uint64, utf8, fromBase64, toBase64 } = bytes;
  const list = (...elements) => concat(...elements.map((one) => concat([one.length < 128 ? one.length : one.length & 0x7f | 0x80,
    ...one.length < 128 ? [] : [one.length >> 7]], one)));
  const signing = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  const signingKey = new Uint8Array(await crypto.subtle.exportKey("raw", signing.publicKey));
  const epochKey = bytes.random(32);
  const epoch = await cryptography.FrameKey.from(epochKey, 1, sessionId);
  const host = {
    sequence: 0, hash: new Uint8Array(32), fromHost: 0,
    async offer(payload) {
      const hello = fromBase64(payload);
      host.hello = hello;
      host.guestNonce = hello.slice(3, 19);
      host.nonce = bytes.random(16);
      const sid = (await cryptography.sha512(concat(host.guestNonce, host.nonce))).slice(0, 16);
      const channel = list(utf8("postern.v1"), utf8(sessionId), utf8(permission), new Uint8Array([invitation.kind]));
      const base = await handshake.generator(utf8(invitation.secret), channel, sid, elligator);
      host.scalar = await cryptography.PrivateKey.generate();
      host.point = await host.scalar.multiply(base);
      host.sid = sid;
      return toBase64(concat([2], host.nonce, host.point, host.guestNonce));
    },
    async accept(payload) {
      const proof = fromBase64(payload);
      const point = proof.slice(1, 33);
      const shared = await host.scalar.multiply(point);
      const root = await handshake.sessionKey(shared, host.sid, [host.point, new Uint8Array()], [point, host.hello]);
      const transcript = await cryptography.sha256(list(host.hello, host.nonce, host.point, point));
      const derive = (label) => cryptography.hkdf(root, transcript, utf8(`postern.v1 ${label}`));
      host.channel = await cryptography.FrameKey.from(await derive("host to guest"), 2, sessionId);
      return toBase64(concat([4], await cryptography.hmac(await derive("confirm host"), transcript)));
    },
    direct: (message, kind = 2) => host.channel.seal(new frames.Header(kind, 0, host.fromHost++), message),
    welcome: () => host.direct(concat([0], signingKey, [0], utf8("title"))),
    epochKey: () => host.direct(concat([1], uint32(1), epochKey)),
    snapshot: (output) => host.direct(
      concat([2], uint64(host.sequence), host.hash, [0, 24, 0, 80], utf8(output)), 3),
    async broadcast(plaintext) {
      host.sequence += 1;
      const frame = await epoch.seal(new frames.Header(1, 1, host.sequence), plaintext);
      host.hash = await cryptography.sha256(concat(host.hash, frame));
      return frame;
    },
    output: (text) => host.broadcast(concat([0], utf8(text))),
    async sign() {
      const signed = concat(utf8("postern.v1 stream"), [0], utf8(sessionId), [0], uint32(1), uint64(host.sequence + 1), host.hash);
      return host.broadcast(concat([2], new Uint8Array(await crypto.subtle.sign("Ed25519", signing.privateKey, signed))));
    },
  };
  return host;
}

/* exported joined */
/** An engine that has joined, with its host; `shown` collects what it gives out. */
async function joined(modules, elligator, permission = "read") {
  const invitation = { code: "SYCLX-AAAAAA", secret: "0".repeat(32), kind: 1 };
  const engine = new modules.engine.GuestEngine(invitation, "Eve", elligator);
  const host = await makeHost(modules, invitation, elligator, "session", permission);
  const result = { engine, host, shown: "", ending: null, asked: 0 };
  result.take = (actions) => {
    for (const action of actions) {
      if (action.do === "show") result.shown += new TextDecoder().decode(action.bytes);
      if (action.do === "finish") result.ending = action.ending;
      if (action.do === "frame" || action.do === "send") result.asked += 1;
    }
    return actions;
  };
  result.take(engine.opened());
  const [hello] = result.take(await engine.received(
    { type: "ack", id: "join", success: true, sessionId: "session", permission, resumeToken: "t", hostUsername: "ana" }));
  const [proof] = result.take(await engine.received({ type: "keyExchange", payload: await host.offer(hello.message.payload) }));
  result.take(await engine.received({ type: "keyExchange", payload: await host.accept(proof.message.payload) }));
  result.take(await engine.frame(await host.welcome()));
  result.take(await engine.frame(await host.epochKey()));
  result.take(await engine.frame(await host.snapshot("start ")));
  return result;
}

/* exported mutations */
/** Gives `count` engines a stream of which one frame is changed, and returns what none of them may have done. */
async function mutations(modules, elligator, count, seed) {
  let state = seed;
  const random = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
  const failures = [];
  const outcomes = {};
  for (let round = 0; round < count; round += 1) {
    const { engine, host, take, ...rest } = await joined(modules, elligator);
    const result = { ...rest };
    const frames = [];
    let honest = "start ";
    for (let index = 0; index < 4; index += 1) {
      const text = `line ${index} `;
      honest += text;
      frames.push(await host.output(text), await host.sign());
    }
    frames.push(await host.direct(new Uint8Array([3])));
    const kind = ["flip", "truncate", "drop", "repeat", "swap", "foreign"][random(6)];
    const place = random(frames.length);
    const frame = frames[place];
    switch (kind) {
      case "flip": frame[random(frame.length)] ^= 1 << random(8); break;
      case "truncate": frames[place] = frame.slice(0, random(frame.length)); break;
      case "drop": frames.splice(place, 1); break;
      case "repeat": frames.splice(place, 0, frame); break;
      case "swap": [frames[place], frames[0]] = [frames[0], frames[place]]; break;
      case "foreign": frames.splice(place, 0, crypto.getRandomValues(new Uint8Array(random(200)))); break;
    }
    let shown = "start ";
    let outcome = "went on";
    try {
      for (const one of frames) {
        const actions = await Promise.race([
          engine.frame(one), new Promise((_, reject) => setTimeout(() => reject(new Error("it hangs")), 10_000))]);
        for (const action of actions) {
          if (action.do === "show") shown += new TextDecoder().decode(action.bytes);
          if (action.do === "finish") outcome = action.ending.name;
        }
        if (outcome !== "went on") break;
      }
    } catch (error) {
      failures.push(`${kind} at ${place}: ${error.message}`);
    }
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    if (!honest.startsWith(shown)) failures.push(`${kind} at ${place}: showed ${JSON.stringify(shown)}`);
  }
  return { failures, outcomes };
}
