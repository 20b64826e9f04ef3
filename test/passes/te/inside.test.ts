// Parts in their wholes, interiors in their frames, as text before and after (inside.ir).
import { placeInside } from "../../../passes/te/inside.ts";
import { testTe } from "./cases.ts";

testTe("inside.ir", placeInside);
