// What users of toxiproxy-node-client do, against a running lab-proxy.
//
// node toxiproxy_client.js PART URL UPSTREAM: where the API is, and the address of a server that
// sends back what it gets. Prints "PART: good", or ends with what is wrong.
"use strict";

const assert = require("node:assert/strict");
const net = require("node:net");
const { Toxiproxy } = require("toxiproxy-node-client");

const [part, url, upstream] = process.argv.slice(2);
const toxiproxy = new Toxiproxy(url);
const anywhere = "127.0.0.1:0";

/** Send a text; gives what came back up to as many bytes or the end, and the code of an error. */
function exchange(listen, text) {
  const [host, port] = listen.split(":");
  return new Promise((resolve) => {
    let heard = "";
    const begin = performance.now();
    const socket = net.connect({ host, port: Number(port) });
    const end = (code) => {
      socket.destroy();
      resolve({ heard, code, took: performance.now() - begin });
    };
    socket.on("connect", () => socket.write(text));
    socket.on("data", (data) => {
      heard += data;
      if (heard.length >= text.length) end("");
    });
    socket.on("end", () => end("END"));
    socket.on("error", (error) => end(error.code));
  });
}

const fails = (promise, status) =>
  assert.rejects(promise, { message: `Request failed with status code ${status}` });

const parts = {
  /** Made, listed, populated, looked up, updated, disabled, enabled, removed. */
  async proxies() {
    assert.deepEqual(JSON.parse(await toxiproxy.getVersion()), { version: "2.12.0" });
    assert.deepEqual(await toxiproxy.getAll(), {});
    const one = await toxiproxy.createProxy({ name: "one", listen: anywhere, upstream });
    assert.deepEqual(
      [one.name, one.upstream, one.enabled], ["one", upstream, true]);
    assert.equal((await exchange(one.listen, "hello")).heard, "hello");
    await fails(toxiproxy.createProxy({ name: "one", listen: anywhere, upstream }), 409);
    const listed = ["two", "three"].map((name) => ({ name, listen: anywhere, upstream }));
    const made = await toxiproxy.populate(listed);
    assert.deepEqual(Object.keys(made), ["two", "three"]);
    assert.deepEqual(Object.keys(await toxiproxy.getAll()).sort(), ["one", "three", "two"]);

    const body = { enabled: false, listen: one.listen, upstream };
    assert.equal((await one.update(body)).enabled, false);
    assert.equal((await exchange(one.listen, "hello")).code, "ECONNREFUSED");
    const again = await one.update({ ...body, enabled: true });
    assert.deepEqual([again.enabled, again.listen], [true, one.listen]);
    assert.equal((await exchange(one.listen, "hello")).heard, "hello");
    const elsewhere = await one.update({ ...body, enabled: true, upstream: "somehost:12345" });
    assert.equal(elsewhere.upstream, "somehost:12345");

    await one.remove();
    await fails(toxiproxy.get("one"), 404);
    await fails(one.remove(), 404);
    assert.equal((await exchange(one.listen, "hello")).code, "ECONNREFUSED");
    assert.equal((await toxiproxy.get("two")).upstream, upstream);
  },

  /** Added, looked up, updated, removed; and all of them with a reset. */
  async toxics() {
    const proxy = await toxiproxy.createProxy({ name: "p", listen: anywhere, upstream });
    const toxic = await proxy.addToxic({
      name: "slow", type: "latency", stream: "upstream", toxicity: 0.5,
      attributes: { latency: 100, jitter: 10 },
    });
    assert.deepEqual(toxic.toJson(), (await proxy.getToxic("slow")).toJson());
    const other = await toxic.update({ ...toxic.toJson(), attributes: { latency: 5 } });
    assert.deepEqual(other.attributes, { latency: 5, jitter: 10 });
    assert.equal(other.toxicity, 0.5);
    await fails(proxy.addToxic(toxic.toJson()), 409);
    await fails(proxy.addToxic({ type: "nothing" }), 400);
    await toxic.remove();
    await fails(proxy.getToxic("slow"), 404);

    for (const type of ["bandwidth", "slow_close", "timeout", "reset_peer", "slicer",
      "limit_data"]) {
      const name = `${type}_downstream`;
      const { attributes } = await proxy.addToxic({ type, attributes: {} });
      assert.ok(Object.values(attributes).every((value) => value === 0), name);
      assert.equal((await proxy.getToxic(name)).type, type);
    }
    await proxy.update({ enabled: false, listen: proxy.listen, upstream });
    await toxiproxy.reset();
    assert.equal((await toxiproxy.get("p")).enabled, true);
    await fails(proxy.getToxic("timeout_downstream"), 404);
    assert.equal((await exchange(proxy.listen, "hello")).heard, "hello");
  },

  /** What is done to connections. */
  async traffic() {
    const { listen } = await toxiproxy.createProxy({ name: "p", listen: anywhere, upstream });
    const proxy = await toxiproxy.get("p");
    const having = async (type, attributes) => {
      const toxic = await proxy.addToxic({ type, attributes });
      const found = await exchange(listen, "hello");
      await toxic.remove();
      return found;
    };
    const { heard, took } = await having("latency", { latency: 60, jitter: 0 });
    assert.equal(heard, "hello");
    assert.ok(took >= 59, `${took} ms`); // timers and clocks differ by less than 1 ms
    assert.equal((await having("reset_peer", { timeout: 1 })).code, "ECONNRESET");
    const limited = await having("limit_data", { bytes: 3 });
    assert.deepEqual([limited.heard, limited.code], ["hel", "END"]);
    const late = await having("timeout", { timeout: 50 });
    assert.deepEqual([late.heard, late.code], ["", "END"]);
    assert.ok(late.took >= 49, `${late.took} ms`);
    assert.equal((await exchange(listen, "hello")).heard, "hello");
  },
};

parts[part]().then(() => console.log(`${part}: good`));
