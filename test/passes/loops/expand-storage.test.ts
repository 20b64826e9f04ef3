// Cells and registers as text before and after (expand-storage.ir; on a target without 64-bit integers expand-storage-32.ir). Every pattern
// and cast: ../storage.test.ts.
import { expandStorage } from "../../../passes/loops/expand-storage.ts";
import { infos } from "../../proofs/targets.ts";
import { testLoops } from "./cases.ts";

testLoops("expand-storage.ir", (_body, k) => expandStorage(k, infos.wasm));
testLoops("expand-storage-32.ir", (_body, k) => expandStorage(k, infos.wgsl));
