// The connection to WS /stream: frames out, results in, and again after a failure, later each time.

import { model } from "./api.js";
import { keyProtocols } from "./key.js";

const FIRST_WAIT = 500; // milliseconds
const LONGEST_WAIT = 15_000;
const IN_FLIGHT = 2; // one is worked on while the next one travels

/** A stream that comes back by itself; `onresult(result, latency)`, `onstate(state, seconds)`. */
export class Stream {
  constructor({ onresult, onstate }) {
    this.onresult = onresult;
    this.onstate = onstate;
    this.socket = null;
    this.timer = null;
    this.failures = 0;
    this.close();
  }

  async open() {
    clearTimeout(this.timer);
    this.sent = 0;
    this.pending = new Map(); // a frame's number → when it was caught
    this.onstate("connecting");
    const attempt = (this.attempt = {});
    try {
      await model(); // asks for a key where one is needed: of a socket that is refused no page learns why
    } catch (error) {
      if (this.attempt === attempt) this.refused(error);
      return;
    }
    if (this.attempt === attempt) this.connect();
  }

  connect() {
    const address = new URL("stream", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    address.hash = "";
    const socket = new WebSocket(address, keyProtocols());
    this.socket = socket;
    socket.addEventListener("open", () => this.onstate("open"));
    socket.addEventListener("message", (event) => this.take(JSON.parse(event.data)));
    socket.addEventListener("close", () => { if (this.socket === socket) this.later(); });
  }

  close() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = this.attempt = null;
    this.failures = 0;
    socket?.close();
  }

  /** Whether another frame may go out now. */
  get ready() {
    return this.socket?.readyState === WebSocket.OPEN && this.pending.size < IN_FLIGHT;
  }

  /** A number for a frame caught now; `send` has to follow. */
  reserve() {
    this.sent += 1;
    this.pending.set(this.sent, performance.now());
    return this.socket;
  }

  send(socket, blob) {
    if (socket.readyState === WebSocket.OPEN) socket.send(blob);
  }

  take(result) {
    const caught = this.pending.get(result.frame);
    for (const number of this.pending.keys()) if (number <= result.frame) this.pending.delete(number);
    this.failures = 0;
    this.onresult(result, performance.now() - caught);
  }

  refused(error) {
    if (error.code === "unauthorized") this.onstate("locked");
    else this.later();
  }

  later() {
    this.socket = null;
    // Half of it by chance, so that not everybody returns at once to a service that has just started again.
    const longest = Math.min(FIRST_WAIT * 2 ** this.failures, LONGEST_WAIT);
    const wait = longest * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.onstate("waiting", wait / 1000);
    this.timer = setTimeout(() => this.open(), wait);
  }
}
