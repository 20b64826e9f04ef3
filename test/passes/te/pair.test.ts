// Products of narrow integers in pairs as text before and after (pair.ir).
import { pairProducts } from "../../../passes/te/pair.ts";
import { target, testTe } from "./cases.ts";

testTe("pair.ir", (p) => pairProducts(p, target));
