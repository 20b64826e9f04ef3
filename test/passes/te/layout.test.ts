// The order of axes in memory as text before and after (layout.ir); the orders show as strides.
import { layoutOrders } from "../../../passes/te/layout.ts";
import { resolveStorage } from "../../../passes/te/storage.ts";
import { target, testTe } from "./cases.ts";

testTe("layout.ir", (p) => {
  const { program, orders } = layoutOrders(p, target);
  return resolveStorage(program, orders);
});
