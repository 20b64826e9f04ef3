// The loader of WebGPU artifacts: makes the buffers and pipelines that a plan names, and interprets its actions.

/** An integer expression: a number, a symbol's slot, or an operator and its operands. Division floors; by zero it gives 0. */
export type PlanDim =
  | number
  | readonly [symbol: number]
  | readonly [op: "+" | "*" | "/" | "%" | "max" | "min" | "broadcast", terms: readonly PlanDim[]];
/** Where a buffer lies: at byte `offset` of a region (a number: that part of the weights), or of the buffer `root`. */
export type PlanBuffer = {
  readonly region: "arena" | "prepared" | "heap" | number;
  readonly offset: PlanDim;
  readonly root?: number;
};
export type PlanPort = {
  readonly name: string;
  readonly type: string;
  readonly buffer: number;
  readonly shape: readonly PlanDim[];
};
/** A shader: its entry point, and the range of its own text in the WGSL file. folded: the grid may take any shape. */
export type PlanKernel = {
  readonly entry: string;
  readonly code: readonly [start: number, end: number];
  readonly folded?: boolean;
};
export type PlanAction =
  /** The arguments are the offsets of `buffers` in words, then `values` (those in `floats` as f32). grid: workgroups along x, y, z. */
  | {
      readonly do: "call";
      readonly kernel: number;
      readonly buffers: readonly number[];
      readonly values: readonly PlanDim[];
      readonly grid: readonly PlanDim[];
      readonly floats?: readonly number[];
      readonly parts?: readonly number[];
    }
  | {
      readonly do: "dim";
      readonly symbol: number;
      readonly value: PlanDim;
      readonly min: number;
      readonly max: number | null;
    }
  | {
      readonly do: "dim";
      readonly symbol: number;
      readonly buffer: number;
      readonly index: PlanDim;
      readonly min: number;
      readonly max: number | null;
    }
  | { readonly do: "reserve"; readonly buffer: number; readonly symbol: number; readonly bytes: PlanDim }
  | { readonly do: "release"; readonly buffer: number }
  | {
      readonly do: "if";
      readonly cond: number;
      readonly then: readonly PlanAction[];
      readonly otherwise: readonly PlanAction[];
    }
  | {
      readonly do: "loop";
      readonly trip: PlanDim | null;
      readonly cond: number | null;
      readonly counter: number;
      readonly body: readonly PlanAction[];
      readonly swap: readonly (readonly [number, number])[];
    };
export type Plan = {
  readonly format: 1;
  readonly name: string;
  readonly inputs: readonly PlanPort[];
  readonly outputs: readonly PlanPort[];
  /** Names of the symbols, by slot. */
  readonly symbols: readonly string[];
  /** The slot of the run's seed. */
  readonly seed: number | null;
  readonly bindings: readonly (readonly [
    symbol: number,
    input: number,
    axis: number,
    min: number,
    max: number | null,
  ])[];
  readonly lets: readonly (readonly [symbol: number, value: PlanDim])[];
  readonly sizes: { readonly arena: PlanDim; readonly prepared: PlanDim };
  /** Byte ranges of the weights file, each a GPU buffer. */
  readonly weights: readonly (readonly [start: number, end: number])[];
  /** How many of them a shader can bind. */
  readonly slots: number;
  /** Size of a call's arguments in 16-byte vectors. */
  readonly vectors: number;
  /** The first characters of the WGSL file, which every shader needs. */
  readonly prelude: number;
  readonly kernels: readonly PlanKernel[];
  readonly buffers: readonly PlanBuffer[];
  readonly init: readonly PlanAction[];
  readonly run: readonly PlanAction[];
};

type Numbers =
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;
export type GpuInput = Numbers | { readonly data: Numbers; readonly dims: readonly number[] };
export type GpuOutput = { readonly data: Numbers; readonly dims: readonly number[]; readonly type: string };
export type GpuPort = { readonly name: string; readonly type: string; readonly dims: readonly (number | string)[] };
/** The device to run on; else one of the adapter; else one of `gpu` (navigator.gpu). */
export type GpuOptions = { readonly device?: GPUDevice; readonly adapter?: GPUAdapter; readonly gpu?: GPU };
export type GpuRunOptions = { readonly out?: Readonly<Record<string, Numbers>>; readonly seed?: number };

// GPUBufferUsage and GPUMapMode, which are globals only in browsers.
const MAP_READ = 1;
const COPY_SRC = 4;
const COPY_DST = 8;
const UNIFORM = 64;
const STORAGE = 128;
const regions = ["arena", "prepared", "heap"] as const;
type Region = (typeof regions)[number];
/** The arguments of this many dispatches are collected before they are submitted. */
const batch = 512;

const fail = (message: string): never => {
  throw new Error(message);
};
const align = (n: number, to: number): number => Math.ceil(n / to) * to;

type ArrayOf = { new (length: number): Numbers; readonly name: string; from(x: ArrayLike<number>): Numbers };
const arrays: Readonly<Record<string, unknown>> = {
  f32: Float32Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
  i32: Int32Array,
  u32: Uint32Array,
  i16: Int16Array,
  u16: Uint16Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i8: Int8Array,
  i4: Int8Array,
  i2: Int8Array,
};
/** The typed array of an element type: bit patterns for the narrow floats. */
const arrayOf = (type: string): ArrayOf => (arrays[type] ?? Uint8Array) as ArrayOf;

/** The words of a tensor; 64-bit integers must fit 32 bits. */
function toWords(data: Numbers, port: PlanPort): Uint32Array {
  const view = (a: Float32Array | Int32Array | Uint32Array): Uint32Array =>
    new Uint32Array(a.buffer as ArrayBuffer, a.byteOffset, a.length);
  if (data instanceof Float32Array || data instanceof Int32Array || data instanceof Uint32Array) return view(data);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    const words = port.type === "i64" ? new Int32Array(data.length) : new Uint32Array(data.length);
    for (let i = 0; i < data.length; i++) {
      words[i] = Number(data[i]!);
      if (BigInt(words[i]!) !== data[i])
        fail(`input "${port.name}": element ${i} is ${data[i]}; this target computes in 32 bits`);
    }
    return view(words);
  }
  return view(Int32Array.from(data));
}
function fromWords(words: ArrayBuffer, port: PlanPort): Numbers {
  const make = arrayOf(port.type);
  if (port.type === "f32") return new Float32Array(words);
  const view = port.type === "u64" || port.type === "u32" ? new Uint32Array(words) : new Int32Array(words);
  if (port.type === "i64") return BigInt64Array.from(view as Int32Array, BigInt);
  if (port.type === "u64") return BigUint64Array.from(view as Uint32Array, BigInt);
  return port.type === "i32" || port.type === "u32" ? view : make.from(view);
}

/** A model on a GPU. Runs are queued: one starts when the one before has ended. */
export class GpuModel {
  readonly inputs: readonly GpuPort[];
  readonly outputs: readonly GpuPort[];
  readonly #plan: Plan;
  readonly #device: GPUDevice;
  readonly #own: boolean;
  readonly #layout: GPUBindGroupLayout;
  readonly #pipelines: readonly GPUComputePipeline[];
  readonly #weights: readonly GPUBuffer[];
  readonly #args: GPUBuffer;
  readonly #stride: number;
  /** Arguments of the dispatches recorded since the last submit. */
  readonly #staged: ArrayBuffer;
  readonly #word: GPUBuffer;
  readonly #memory: Partial<Record<Region, GPUBuffer>> = {};
  readonly #groups = new Map<string, GPUBindGroup>();
  readonly #values: number[];
  /** Addresses of buffers that a swap has moved. */
  readonly #moved = new Map<number, number>();
  /** Ends of the reserved heap blocks by address. */
  readonly #blocks = new Map<number, number>();
  #top = 0;
  #calls = 0;
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #garbage: GPUBuffer[] = [];
  #ready = false;
  #gone: string | null = null;
  #tail: Promise<unknown> = Promise.resolve();

  /** Makes the device's objects. `weights` is the weights file (empty when the plan has none). */
  static async create(plan: Plan, wgsl: string, weights: Uint8Array, options: GpuOptions = {}): Promise<GpuModel> {
    let device = options.device;
    if (!device) {
      const gpu = options.gpu ?? (globalThis.navigator as Navigator | undefined)?.gpu;
      const adapter = options.adapter ?? (await gpu?.requestAdapter({ powerPreference: "high-performance" }));
      if (!adapter) throw new Error(gpu ? "no WebGPU adapter was found" : "WebGPU is not available here");
      const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
      device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
    }
    const storage = (binding: number, type: GPUBufferBindingType): GPUBindGroupLayoutEntry => ({
      binding,
      visibility: 4,
      buffer: { type },
    });
    const layout = device.createBindGroupLayout({
      entries: [
        {
          binding: 0,
          visibility: 4,
          buffer: { type: "uniform", hasDynamicOffset: true, minBindingSize: plan.vectors * 16 },
        },
        ...regions.map((_, i) => storage(1 + i, "storage")),
        ...Array.from({ length: plan.slots }, (_, i) => storage(4 + i, "read-only-storage")),
      ],
    });
    const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
    const prelude = wgsl.slice(0, plan.prelude);
    const on = device;
    const pipelines = await Promise.all(
      plan.kernels.map((k) =>
        on.createComputePipelineAsync({
          layout: pipelineLayout,
          compute: {
            module: on.createShaderModule({ label: k.entry, code: prelude + wgsl.slice(...k.code) }),
            entryPoint: k.entry,
          },
        }),
      ),
    );
    return new GpuModel(plan, device, device !== options.device, layout, pipelines, weights);
  }

  private constructor(
    plan: Plan,
    device: GPUDevice,
    own: boolean,
    layout: GPUBindGroupLayout,
    pipelines: readonly GPUComputePipeline[],
    weights: Uint8Array,
  ) {
    this.#plan = plan;
    this.#device = device;
    this.#own = own;
    this.#layout = layout;
    this.#pipelines = pipelines;
    const label = (d: PlanDim): number | string =>
      typeof d === "number" ? d : d.length === 1 ? plan.symbols[d[0]]! : "?";
    const face = (p: PlanPort): GpuPort => ({ name: p.name, type: p.type, dims: p.shape.map(label) });
    this.inputs = plan.inputs.map(face);
    this.outputs = plan.outputs.map(face);
    this.#values = plan.symbols.map(() => 0);
    this.#weights = plan.weights.map(([start, end]) => {
      if (end > weights.length) fail(`the weights have ${weights.length} bytes instead of ${end}`);
      const b = this.#buffer(end - start, STORAGE | COPY_SRC | COPY_DST, "weights");
      device.queue.writeBuffer(b, 0, weights as Uint8Array<ArrayBuffer>, start, end - start);
      return b;
    });
    this.#stride = align(plan.vectors * 16, Math.max(16, device.limits.minUniformBufferOffsetAlignment));
    this.#staged = new ArrayBuffer(this.#stride * batch);
    this.#args = this.#buffer(this.#staged.byteLength, UNIFORM | COPY_DST, "args");
    this.#word = this.#buffer(4, MAP_READ | COPY_DST, "word");
    device.lost.then((info) => {
      this.#gone ??= `the GPU device was lost: ${info.message}`;
    });
  }

  /** One inference. Outputs are copies, or written into `out`. Rejects with a clear message when an input does not fit. */
  run(inputs: Readonly<Record<string, GpuInput>>, options: GpuRunOptions = {}): Promise<Record<string, GpuOutput>> {
    const result = this.#tail.then(() => this.#run(inputs, options));
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /** Frees the GPU's memory. The model cannot run any more. */
  dispose(): void {
    if (this.#own) this.#device.destroy();
    for (const b of [...this.#weights, ...Object.values(this.#memory), ...this.#garbage, this.#args, this.#word])
      b.destroy();
    this.#gone = "the model was disposed of";
  }

  async #run(inputs: Readonly<Record<string, GpuInput>>, options: GpuRunOptions): Promise<Record<string, GpuOutput>> {
    if (this.#gone !== null) throw new Error(this.#gone);
    const device = this.#device;
    const plan = this.#plan;
    const data = this.#bind(inputs);
    if (plan.seed !== null) this.#values[plan.seed] = (options.seed ?? 0) | 0;
    for (const [symbol, value] of plan.lets) this.#values[symbol] = this.#dim(value);

    for (const filter of ["validation", "out-of-memory", "internal"] as const) device.pushErrorScope(filter);
    let failure: unknown = null;
    let results: Record<string, GpuOutput> | null = null;
    try {
      this.#moved.clear();
      this.#blocks.clear();
      this.#top = 0;
      this.#ensure("prepared", this.#dim(plan.sizes.prepared), true);
      this.#ensure("arena", this.#dim(plan.sizes.arena), false);
      this.#ensure("heap", 0, false);
      if (!this.#ready) {
        await this.#actions(plan.init);
        this.#submit();
        this.#ready = true;
      }
      plan.inputs.forEach((port, i) => {
        const words = toWords(data[i]!, port);
        const [target, at] = this.#place(port.buffer);
        if (words.length > 0) device.queue.writeBuffer(target, at, words as Uint32Array<ArrayBuffer>);
      });
      await this.#actions(plan.run);
      results = await this.#read(options.out ?? {});
    } catch (e) {
      failure = e;
      this.#pass?.end();
      this.#pass = this.#encoder = null;
      this.#calls = 0;
    }
    const errors = await Promise.all([device.popErrorScope(), device.popErrorScope(), device.popErrorScope()]);
    for (const b of this.#garbage) b.destroy();
    this.#garbage = [];
    const error = errors.find((e) => e !== null);
    if (error) throw new Error(this.#gone ?? `the GPU refused a command: ${error.message}`);
    if (failure !== null) throw failure;
    return results!;
  }

  /** Binds the symbols of the inputs' shapes and checks every dim. Returns the data in the order of the inputs. */
  #bind(inputs: Readonly<Record<string, GpuInput>>): Numbers[] {
    const plan = this.#plan;
    for (const name of Object.keys(inputs)) {
      if (!plan.inputs.some((p) => p.name === name))
        fail(`there is no input "${name}"; the inputs are ${plan.inputs.map((p) => p.name).join(", ")}`);
    }
    const given = plan.inputs.map((port) => {
      const x = inputs[port.name] ?? fail(`the input "${port.name}" is missing`);
      const data = ArrayBuffer.isView(x) ? x : x.data;
      const make = arrayOf(port.type);
      if (!(data instanceof (make as never))) fail(`the input "${port.name}" (${port.type}) takes a ${make.name}`);
      const dims = ArrayBuffer.isView(x) ? null : x.dims;
      if (dims && dims.length !== port.shape.length)
        fail(`the input "${port.name}" has ${port.shape.length} dims, not ${dims.length}`);
      return { port, data, dims };
    });
    for (const [symbol, input, axis, min, max] of plan.bindings) {
      const { port, dims } = given[input]!;
      const value = dims?.[axis] ?? fail(`the input "${port.name}" has no fixed shape: give { data, dims }`);
      if (value < min || (max !== null && value > max)) {
        fail(
          `dim ${axis} of the input "${port.name}" is ${value}; ${plan.symbols[symbol]} must be ${max === null ? `at least ${min}` : `in ${min}..${max}`}`,
        );
      }
      this.#values[symbol] = value;
    }
    return given.map(({ port, data, dims }) => {
      const want = port.shape.map((d) => this.#dim(d));
      if (dims?.some((d, i) => d !== want[i]))
        fail(`the input "${port.name}" is [${dims.join(", ")}]; it must be [${want.join(", ")}]`);
      const count = want.reduce((a, b) => a * b, 1);
      if (data.length !== count)
        fail(`the input "${port.name}" has ${data.length} elements; [${want.join(", ")}] are ${count}`);
      return data;
    });
  }

  #dim(d: PlanDim): number {
    if (typeof d === "number") return d;
    if (d.length === 1) return this.#values[d[0]]!;
    const [op, terms] = d;
    const xs = terms.map((t) => this.#dim(t));
    const [a, b] = xs as [number, number];
    switch (op) {
      case "+":
        return xs.reduce((x, y) => x + y);
      case "*":
        return xs.reduce((x, y) => x * y);
      case "/":
        return b === 0 ? 0 : Math.floor(a / b);
      case "%":
        return b === 0 ? 0 : a - Math.floor(a / b) * b;
      case "max":
        return Math.max(...xs);
      case "min":
        return Math.min(...xs);
      default:
        return xs.find((x) => x !== 1) ?? 1;
    }
  }

  #address(index: number): number {
    const b = this.#plan.buffers[index]!;
    return this.#moved.get(index) ?? this.#dim(b.offset) + (b.root === undefined ? 0 : this.#address(b.root));
  }
  #place(index: number): [buffer: GPUBuffer, address: number] {
    const { region } = this.#plan.buffers[index]!;
    return [typeof region === "number" ? this.#weights[region]! : this.#memory[region]!, this.#address(index)];
  }

  #buffer(bytes: number, usage: number, what: string): GPUBuffer {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    const most = usage & STORAGE ? Math.min(maxBufferSize, maxStorageBufferBindingSize) : maxBufferSize;
    if (bytes > most) fail(`E303 the ${what} need ${bytes} bytes in one buffer; this device binds ${most}`);
    return this.#device.createBuffer({ label: what, size: align(Math.max(bytes, 16), 16), usage });
  }
  /** Makes a region at least `bytes` long; `keep`: with what it holds. */
  #ensure(region: Region, bytes: number, keep: boolean): void {
    const old = this.#memory[region];
    if (old && old.size >= bytes) return;
    const made = this.#buffer(bytes, STORAGE | COPY_SRC | COPY_DST, region);
    if (old) {
      if (keep) this.#commands().copyBufferToBuffer(old, 0, made, 0, old.size);
      this.#garbage.push(old);
    }
    this.#memory[region] = made;
    this.#groups.clear();
  }

  /** The command encoder, outside of a pass. */
  #commands(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = null;
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }
  #submit(): void {
    if (!this.#encoder) return;
    const commands = this.#commands().finish();
    const { queue } = this.#device;
    if (this.#calls > 0) queue.writeBuffer(this.#args, 0, this.#staged, 0, this.#calls * this.#stride);
    queue.submit([commands]);
    this.#encoder = null;
    this.#calls = 0;
  }

  async #actions(list: readonly PlanAction[]): Promise<void> {
    for (const a of list) {
      switch (a.do) {
        case "call":
          this.#call(a);
          break;
        case "dim": {
          const value = "value" in a ? this.#dim(a.value) : await this.#peek(a.buffer, this.#dim(a.index));
          if (value < a.min || (a.max !== null && value > a.max)) {
            fail(
              `${this.#plan.symbols[a.symbol]} depends on the data and is ${value}, outside of ${a.min}..${a.max ?? ""}`,
            );
          }
          this.#values[a.symbol] = value;
          break;
        }
        case "reserve": {
          const address = this.#top;
          this.#top = align(address + Math.max(0, this.#dim(a.bytes)), 256);
          this.#blocks.set(address, this.#top);
          this.#moved.delete(a.buffer);
          this.#values[a.symbol] = address;
          const have = this.#memory.heap?.size ?? 0;
          if (this.#top > have) this.#ensure("heap", Math.max(this.#top, 2 * have), true);
          break;
        }
        case "release": {
          const address = this.#address(a.buffer);
          if (this.#blocks.get(address) === this.#top) this.#top = address;
          break;
        }
        case "if":
          await this.#actions((await this.#peek(a.cond, 0)) !== 0 ? a.then : a.otherwise);
          break;
        case "loop": {
          const trip = a.trip === null ? Number.POSITIVE_INFINITY : this.#dim(a.trip);
          for (let i = 0; ; i++) {
            this.#values[a.counter] = i;
            if (i >= trip || (a.cond !== null && (await this.#peek(a.cond, 0)) === 0)) break;
            await this.#actions(a.body);
            for (const [x, y] of a.swap) {
              const [p, q] = [this.#address(x), this.#address(y)];
              this.#moved.set(x, q).set(y, p);
            }
          }
          break;
        }
      }
    }
  }

  #call(a: PlanAction & { do: "call" }): void {
    const kernel = this.#plan.kernels[a.kernel]!;
    let [x, y, z] = [0, 1, 2].map((i) => this.#dim(a.grid[i] ?? 1)) as [number, number, number];
    const most = this.#device.limits.maxComputeWorkgroupsPerDimension;
    if (kernel.folded) {
      const all = x * y * z;
      y = Math.ceil(all / most);
      x = Math.ceil(all / y);
      z = 1;
      if (all >= 2 ** 31) y = Number.POSITIVE_INFINITY;
    }
    if (Math.max(x, y, z) > most)
      fail(`the dims need ${x}x${y}x${z} workgroups of ${kernel.entry}; a dispatch has ${most} at most`);
    if (this.#calls === batch) this.#submit();
    const at = this.#calls++ * this.#stride;
    const args = new DataView(this.#staged, at);
    a.buffers.forEach((b, i) => {
      args.setInt32(4 * i, this.#address(b) / 4, true);
    });
    a.values.forEach((d, i) => {
      const offset = 4 * (a.buffers.length + i);
      if (a.floats?.includes(i)) args.setFloat32(offset, this.#dim(d), true);
      else args.setInt32(offset, this.#dim(d), true);
    });
    if (!this.#pass) this.#pass = this.#commands().beginComputePass();
    this.#pass.setPipeline(this.#pipelines[a.kernel]!);
    this.#pass.setBindGroup(0, this.#group(a.parts ?? []), [at]);
    this.#pass.dispatchWorkgroups(x, y, z);
  }
  #group(parts: readonly number[]): GPUBindGroup {
    const key = parts.join();
    let group = this.#groups.get(key);
    if (!group) {
      const entry = (binding: number, buffer: GPUBuffer): GPUBindGroupEntry => ({ binding, resource: { buffer } });
      group = this.#device.createBindGroup({
        layout: this.#layout,
        entries: [
          { binding: 0, resource: { buffer: this.#args, size: this.#plan.vectors * 16 } },
          ...regions.map((r, i) => entry(1 + i, this.#memory[r]!)),
          // A slot that the shader does not read takes any part.
          ...Array.from({ length: this.#plan.slots }, (_, i) =>
            entry(4 + i, this.#weights[parts[i] ?? parts[0] ?? 0]!),
          ),
        ],
      });
      this.#groups.set(key, group);
    }
    return group;
  }

  /** Waits for the commands so far and reads a word as an i32. */
  async #peek(buffer: number, index: number): Promise<number> {
    const [source, at] = this.#place(buffer);
    this.#commands().copyBufferToBuffer(source, at + 4 * index, this.#word, 0, 4);
    this.#submit();
    await this.#word.mapAsync(MAP_READ);
    const [value] = new Int32Array(this.#word.getMappedRange());
    this.#word.unmap();
    return value!;
  }

  async #read(out: Readonly<Record<string, Numbers>>): Promise<Record<string, GpuOutput>> {
    let bytes = 0;
    const ports = this.#plan.outputs.map((port) => {
      const dims = port.shape.map((d) => this.#dim(d));
      const size = 4 * dims.reduce((a, b) => a * b, 1);
      const at = bytes;
      bytes += size;
      return { port, dims, at, size };
    });
    const staging = this.#buffer(bytes, MAP_READ | COPY_DST, "outputs");
    for (const { port, at, size } of ports) {
      const [source, from] = this.#place(port.buffer);
      if (size > 0) this.#commands().copyBufferToBuffer(source, from, staging, at, size);
    }
    this.#submit();
    await staging.mapAsync(MAP_READ);
    const mapped = staging.getMappedRange();
    const results: Record<string, GpuOutput> = {};
    for (const { port, dims, at, size } of ports) {
      const data = fromWords(mapped.slice(at, at + size), port);
      const target = out[port.name];
      if (target) {
        const type = arrayOf(port.type);
        if (!(target instanceof (type as never)) || target.length < data.length)
          fail(`out.${port.name} must be a ${type.name} of ${data.length} elements`);
        (target as Float32Array).set(data as Float32Array);
      }
      results[port.name] = { data: target ?? data, dims, type: port.type };
    }
    staging.unmap();
    staging.destroy();
    return results;
  }
}
