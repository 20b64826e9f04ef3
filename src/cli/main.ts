#!/usr/bin/env node
// The command `ingot`: this process's streams, and its exit status.
import { fileURLToPath } from "node:url";
import { cli, crashed } from "./cli.ts";

// Standard output is for the report alone, whatever a package prints.
console.log = console.error;
console.info = console.error;
console.debug = console.error;

// A reader that has seen enough (head) is no failure of ours.
process.stdout.on("error", (e: NodeJS.ErrnoException) => {
  if (e.code !== "EPIPE") throw e;
});

let told = false;
const io = {
  out: (text: string) => {
    told = true;
    process.stdout.write(text);
  },
  err: (text: string) => void process.stderr.write(text),
  terminal: process.stderr.isTTY === true,
};
const argv = process.argv.slice(2);
// An exception that nobody awaits, such as that of a GPU. After the report it no longer matters.
process.on("uncaughtException", (e) => {
  process.exit(told ? process.exitCode : crashed(e, argv, io));
});
process.exitCode = await cli(argv, io, fileURLToPath(import.meta.url));
