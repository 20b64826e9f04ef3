#!/usr/bin/env node
// The command `ingot`: this process's streams, and its exit status.
import { fileURLToPath } from "node:url";
import { cli } from "./cli.ts";

// Standard output is for the report alone, whatever a package prints.
console.log = console.error;
console.info = console.error;
console.debug = console.error;

// A reader that has seen enough (head) is no failure of ours.
process.stdout.on("error", (e: NodeJS.ErrnoException) => {
  if (e.code !== "EPIPE") throw e;
});

const io = {
  out: (text: string) => void process.stdout.write(text),
  err: (text: string) => void process.stderr.write(text),
  terminal: process.stderr.isTTY === true,
};
process.exitCode = await cli(process.argv.slice(2), io, fileURLToPath(import.meta.url));
