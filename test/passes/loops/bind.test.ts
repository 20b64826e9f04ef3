// Shared and invariant values as text before and after (bind.ir).
import { bind } from "../../../passes/loops/bind.ts";
import { testLoops } from "./cases.ts";

testLoops("bind.ir", (body, k) => {
  const place = new Map(k.params.map((b, n) => [b.id, n]));
  return bind(body, {
    isRegister: () => false,
    mayAlias: (a, b) =>
      a === b || k.mayOverlap.some((pair) => pair.includes(place.get(a)!) && pair.includes(place.get(b)!)),
    ranges: () => null,
  });
});
