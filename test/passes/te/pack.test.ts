// Operands in panels as text before and after (pack.ir).
import { packOperands } from "../../../passes/te/pack.ts";
import { target, testTe } from "./cases.ts";

testTe("pack.ir", (p) => packOperands(p, new Map(), target));
