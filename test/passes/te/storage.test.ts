// All of storage as text before and after (storage.ir): views, and how its parts work together.
import { chooseStorage } from "../../../passes/te/storage.ts";
import { target, testTe } from "./cases.ts";

testTe("storage.ir", (p) => chooseStorage(p, target));
