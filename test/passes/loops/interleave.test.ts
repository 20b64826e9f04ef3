// Long chains side by side as text before and after (interleave.ir).
import { interleave } from "../../../passes/loops/interleave.ts";
import { testLoops } from "./cases.ts";

testLoops("interleave.ir", (body, k) => {
  const place = new Map(k.params.map((b, n) => [b.id, n]));
  return interleave(body, {
    isRegister: () => false,
    mayAlias: (a, b) =>
      a === b || k.mayOverlap.some((pair) => pair.includes(place.get(a)!) && pair.includes(place.get(b)!)),
  });
});
