import { describe, expect, test } from "vitest";
import { ParseError } from "../../src/base/text.ts";
import { parseDim, parseGraph, parseKernel, parseProgram, parseTe } from "../../src/ir/parse.ts";
import { printKernel, printProgram, printTe } from "../../src/ir/print.ts";
import { opHead, sampleProgram, sampleTe, vectorKernel } from "./samples.ts";

function broken(parse: () => unknown, at: string, message: RegExp): void {
  let error: unknown = null;
  try {
    parse();
  } catch (e) {
    error = e;
  }
  expect(error).toBeInstanceOf(ParseError);
  const e = error as ParseError;
  expect(e.message).toMatch(message);
  expect(`${e.line}:${e.column}`).toBe(at);
  expect(e.message.startsWith(`${at}: `)).toBe(true);
}
const kernel =
  (body: string): (() => unknown) =>
  () =>
    parseKernel(`kernel @k(A: f32[4] io, L: i64[4] io) scalars (s: f32) {\n${body}\n}`);
const graph =
  (body: string): (() => unknown) =>
  () =>
    parseGraph(`graph @g(%x: f32[2]) -> %x {\n${body}\n}`, new Map(), (n) => (n === "Relu" ? opHead(n) : undefined));
const te =
  (body: string): (() => unknown) =>
  () =>
    parseTe(`te @t() -> () {\nbuffer y: f32[4] io\n${body}\n}`);

describe("text", () => {
  test("tokens", () => {
    broken(kernel("  A[0] = ^1"), "2:10", /expected an expression but found \^/);
    broken(kernel("  \u00e4"), "2:3", /unexpected "ä"/);
    broken(kernel('A["\\q"] = 1.0'), "2:3", /malformed string/);
    broken(kernel('A["a'), "2:3", /unexpected "\\""/);
    broken(kernel("A[5abc] = 1.0"), "2:3", /unexpected "5"/);
    broken(() => parseKernel(""), "1:1", /expected kernel but found the end of the text/);
    broken(() => parseKernel("kernel @k() {\n} x"), "2:3", /expected the end of the text but found x/);
    broken(() => parseKernel("kernel @k() {"), "1:14", /expected a statement/);
  });
  test("comments and newlines do not matter", () => {
    const k = parseKernel("kernel @k(A: f32[4] io) { // a kernel\n for i in 0..4 // loop\n { A[i]\n = 1.0 } }");
    expect(printKernel(k).text).toBe("kernel @k(A: f32[4] io) {\n  for i in 0..4 {\n    A[i] = 1.0\n  }\n}\n");
  });
});

describe("dims", () => {
  test("mistakes", () => {
    broken(() => parseDim("2*"), "1:3", /expected a dim but found the end of the text/);
    broken(() => parseDim("floordiv(N)"), "1:1", /no dim is made by floordiv of 1/);
    broken(() => parseDim("gcd(N, 2)"), "1:1", /no dim is made by gcd of 2/);
    broken(() => parseDim("max()"), "1:1", /no dim is made by max of 0/);
    broken(() => parseDim("1.5"), "1:1", /expected an integer but found 1.5/);
    broken(() => parseDim("N 2"), "1:3", /expected the end of the text but found 2/);
  });
});

describe("kernels", () => {
  test("names that are not declared", () => {
    broken(kernel("B[0] = 1.0"), "2:1", /no buffer "B" here/);
    broken(kernel("A[0] = A#9[0]"), "2:8", /no buffer "A"#9 here/);
    broken(kernel("A[0] = #9[0]"), "2:8", /no buffer #9 here/);
    broken(kernel("A[0] = @1"), "2:8", /no def @1 before/);
    broken(kernel("if true {\nalloc t: f32[] register\n}\nt[0] = 1.0"), "5:1", /no buffer "t" here/);
    broken(kernel("A#z[0] = 1.0"), "2:2", /#z is no id/);
  });
  test("types and operations", () => {
    broken(kernel("A[0] = gelu(1.0)"), "2:8", /no operation gelu here/);
    broken(kernel("A[0.5] = 1.0"), "2:3", /0.5 is no i32/);
    broken(kernel("L[0] = inf"), "2:8", /inf is no i64/);
    broken(kernel("A[0] = 1_f31"), "2:8", /f31 is no element type/);
    broken(kernel("A[0] = (1.0: f31)"), "2:14", /f31 is no element type/);
    broken(kernel("A[0] = (exp(s): f32x4)"), "2:17", /only a variable's lanes are written/);
    broken(kernel("A[0] = reduce { result 1.0 }"), "2:8", /a reduce stands in a stage/);
    broken(kernel("A[0] = table(f32, [s], 0)"), "2:20", /expected a number/);
    broken(() => parseKernel("kernel @k(A: f33[4] io) {\n}"), "1:14", /f33 is no element type/);
    broken(() => parseKernel("kernel @k(A: f32[4] ram) {\n}"), "1:21", /ram is no scope/);
    broken(() => parseKernel("kernel @k(A: f32[4] io in Q) {\n}"), "1:27", /no buffer "Q" here/);
  });
  test("statements", () => {
    broken(kernel("for i in 1..4 {"), "2:11", /a range begins with 0/);
    broken(kernel("for i in 0..4 step s {"), "2:20", /expected an integer but found s/);
    broken(kernel("for i in 0..4 A[i] = 1.0"), "2:15", /expected \{ but found A/);
    broken(kernel("A[0] += 1.0"), "2:6", /expected = but found \+/);
    broken(kernel("(A[0]) = 1.0"), "2:1", /expected a statement/);
    broken(kernel("if true { barrier } else barrier"), "2:26", /expected \{ but found barrier/);
  });
});

describe("graphs", () => {
  test("mistakes", () => {
    broken(graph('%y: f32[2] = Gelu(%x) loc("a")'), "2:14", /no op Gelu/);
    broken(graph('%y: f32[2] = Relu(%z) loc("a")'), "2:20", /no value "z" here/);
    broken(graph('%y#0: f32[2] = Relu(%x) loc("a")'), "2:2", /the id 0 is taken by %x/);
    broken(graph("%y: f32[2] = Relu(%x)"), "3:1", /expected loc but found }/);
    broken(graph("%y: f32[2], %z: f32[2]"), "3:1", /expected = and an op/);
    broken(graph("%#4: f32[2]"), "2:2", /a value is declared by its name/);
    broken(graph("%y: f32[2] = const [1.0]"), "2:20", /1 elements of a constant of 2/);
    broken(graph("%y: i32[2] = const [1, 0.5]"), "2:24", /expected a number/);
    broken(graph("%y: i64[1] = const [0.5]"), "2:21", /expected an integer/);
    broken(graph("%y: f32[N] = const [1.0]"), "2:20", /the dims of a constant are numbers/);
    broken(graph("%y: f32[2] = const @w#12ab"), "2:21", /no constant w#12ab in the table/);
    broken(graph("%y: f32[2] = const @w"), "3:1", /expected the hash of the constant/);
    broken(graph("%y: f32[N] known [1]"), "2:18", /expected the dims of what is known/);
    broken(graph('%y: f32[2] = Relu(%x) {a = b} loc("a")'), "2:28", /expected a number/);
    broken(graph("%y: seq(f32[2]) = const [1]"), "2:25", /expected the constant's type/);
  });
});

describe("programs", () => {
  test("mistakes", () => {
    broken(te('stage S() loc("n") {\nz = 1.0 }'), "4:1", /no buffer "z" here/);
    broken(te('stage S() loc("n") {\ny = ramp(0, 1, 4) }'), "4:5", /no operation ramp here/);
    broken(
      te('stage S() loc("n") {\ny = reduce r in 0..4 { state a: f32 = 0.0 update b = 1.0 } }'),
      "4:50",
      /expected the update of a/,
    );
    broken(
      te('stage S() loc("n") {\ny = reduce r in 0..4 { state a: f32 = r } }'),
      "4:37",
      /a state begins with a constant/,
    );
    broken(te('group root T {\nstage S() loc("n") {\n} }'), "3:12", /no stage "T" here/);
    broken(te('call () loc("n") kernel @k() {\n}'), "3:16", /expected the op of the loc/);
    broken(te("jump"), "3:1", /expected an action/);
    broken(te("loop c in 1..4 {\n}"), "3:12", /a loop counts from 0/);
    broken(() => parseTe("te @t(x) -> () {\n}"), "1:7", /no buffer "x" here/);
    const program = printProgram(sampleProgram());
    broken(
      () => parseProgram(program.text.replace("call @copy(w", "call @move(w"), program.constants),
      "21:11",
      /no kernel "move" here/,
    );
    broken(
      () => parseProgram(program.text.replace("place w in weights", "place w in attic"), program.constants),
      "43:16",
      /attic is no region/,
    );
  });
  test("every text cut short is a ParseError", () => {
    const whole = [
      [printKernel(vectorKernel()).text, parseKernel],
      [printTe(sampleTe()).text, (t: string) => parseTe(t, printTe(sampleTe()).constants)],
      [printProgram(sampleProgram()).text, (t: string) => parseProgram(t, printProgram(sampleProgram()).constants)],
    ] as const;
    for (const [text, parse] of whole) {
      const end = text.trimEnd().length;
      for (let n = 0; n < end; n += 7) expect(() => parse(text.slice(0, n)), text.slice(0, n)).toThrow(ParseError);
    }
  });
});
