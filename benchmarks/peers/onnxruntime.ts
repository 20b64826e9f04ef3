// onnxruntime-web and onnxruntime-node as contenders: NAME MODEL INPUTS.npz
import { readFileSync } from "node:fs";
import { openPeer } from "../../src/run/peers.ts";
import { inputsOf, serve } from "./serve.ts";

const [name, model, npz] = process.argv.slice(2) as [string, string, string];
const inputs = inputsOf(npz);
await serve(async () => {
  const bytes = readFileSync(model);
  const session = await openPeer(name, { bytes, name: "model", directory: undefined, dims: new Map() });
  const feed = session.feed(inputs);
  return {
    version: session.version,
    run: () => session.run(feed),
    outputs: (result) => Object.values(result as Record<string, { data: Float32Array }>).map((v) => v.data),
  };
});
