// The WebSocket connection to /stream, which reconnects after a failure with growing delays.

import { fetchModel } from "./api.js";
import { streamProtocols } from "./key.js";

const FIRST_DELAY = 500; // milliseconds
const MAX_DELAY = 15_000;
const MAX_IN_FLIGHT = 2; // frames: the service works on one while the next one is sent

/** A stream. Calls `onresult(result, latency)` and `onstate(state, seconds)`. */
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
    this.pending = new Map(); // frame number → time of capture
    this.onstate("connecting");
    const attempt = (this.attempt = {});
    try {
      await fetchModel(); // asks for a key if needed: a page cannot learn why a WebSocket was refused
    } catch (error) {
      if (this.attempt === attempt) this.onRefused(error);
      return;
    }
    if (this.attempt === attempt) this.connect();
  }

  connect() {
    const address = new URL("stream", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    address.hash = "";
    const socket = new WebSocket(address, streamProtocols());
    this.socket = socket;
    socket.addEventListener("open", () => this.onstate("open"));
    socket.addEventListener("message", (event) => this.onMessage(JSON.parse(event.data)));
    socket.addEventListener("close", () => { if (this.socket === socket) this.reconnectLater(); });
  }

  close() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = this.attempt = null;
    this.failures = 0;
    socket?.close();
  }

  /** True if another frame may be sent now. */
  get ready() {
    return this.socket?.readyState === WebSocket.OPEN && this.pending.size < MAX_IN_FLIGHT;
  }

  /** Count a frame that is captured now; call `send` next with the returned socket. */
  reserve() {
    this.sent += 1;
    this.pending.set(this.sent, performance.now());
    return this.socket;
  }

  send(socket, blob) {
    if (socket.readyState === WebSocket.OPEN) socket.send(blob);
  }

  onMessage(result) {
    const capturedAt = this.pending.get(result.frame);
    for (const number of this.pending.keys()) if (number <= result.frame) this.pending.delete(number);
    this.failures = 0;
    this.onresult(result, performance.now() - capturedAt);
  }

  onRefused(error) {
    if (error.code === "unauthorized") this.onstate("unauthorized");
    else this.reconnectLater();
  }

  reconnectLater() {
    this.socket = null;
    // Half of the delay is random, so that not all clients reconnect at the same moment.
    const maximum = Math.min(FIRST_DELAY * 2 ** this.failures, MAX_DELAY);
    const delay = maximum * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.onstate("waiting", delay / 1000);
    this.timer = setTimeout(() => this.open(), delay);
  }
}
