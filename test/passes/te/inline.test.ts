// Inlining as text before and after (inline.ir).
import { inline } from "../../../passes/te/inline.ts";
import { testTe } from "./cases.ts";

testTe("inline.ir", inline);
