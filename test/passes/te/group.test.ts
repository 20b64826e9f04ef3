// Stages that share rows as text before and after (group.ir).
import { group } from "../../../passes/te/group.ts";
import { testTe } from "./cases.ts";

testTe("group.ir", group);
