// Common subexpressions as text before and after (cse.ir), with results that stay the same bit for bit.
import { eliminateCommon } from "../../../passes/graph/cse.ts";
import { testSections } from "./cases.ts";

testSections("cse.ir", eliminateCommon);
