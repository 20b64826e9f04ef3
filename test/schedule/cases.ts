// All cases.
import { contractSpecs } from "./cases-contract.ts";
import { elementwiseSpecs } from "./cases-elementwise.ts";
import { integerSpecs } from "./cases-integer.ts";
import { moveSpecs } from "./cases-move.ts";
import { poolSpecs } from "./cases-pool.ts";
import { reduceSpecs } from "./cases-reduce.ts";
import type { Spec } from "./spec.ts";

export const specs: readonly Spec[] = [
  ...contractSpecs,
  ...integerSpecs,
  ...poolSpecs,
  ...reduceSpecs,
  ...moveSpecs,
  ...elementwiseSpecs,
];
