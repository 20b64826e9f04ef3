// A model on WebGPU: the buffers and pipelines that a plan names, and the interpreter of its actions.
import type { Plan, PlanAction, PlanDim, PlanPort } from "./gpu-plan.ts";
import type { PortInfo } from "./manifest.ts";
import type { Bound, Given, Out, TypedArray, Value } from "./ports.ts";
import { bindInputs, checkDims, checkOut, checkRoom, classOf, fail, product, symbolsOf } from "./ports.ts";

/** The device to run on; else one of the adapter; else one of `gpu` (navigator.gpu). */
export type DeviceOptions = { readonly device?: GPUDevice; readonly adapter?: GPUAdapter; readonly gpu?: GPU };
export type GpuRunOptions = { readonly out?: Out; readonly seed?: number };

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

const align = (n: number, to: number): number => Math.ceil(n / to) * to;

/** The words of an input, copied; 64-bit integers must fit 32 bits. */
function toWords({ port, data }: Bound): Uint32Array<ArrayBuffer> {
  const view = (a: Float32Array | Int32Array | Uint32Array): Uint32Array<ArrayBuffer> =>
    new Uint32Array(a.buffer as ArrayBuffer, a.byteOffset, a.length);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    const words = data instanceof BigInt64Array ? new Int32Array(data.length) : new Uint32Array(data.length);
    for (let i = 0; i < data.length; i++) {
      words[i] = Number(data[i]!);
      if (BigInt(words[i]!) !== data[i])
        fail(`input "${port.name}": element ${i} is ${data[i]}, and this target computes in 32 bits`);
    }
    return view(words);
  }
  return data.BYTES_PER_ELEMENT === 4 ? view(data as Float32Array).slice() : view(Int32Array.from(data as Int8Array));
}
function fromWords(words: ArrayBuffer, port: PortInfo): TypedArray {
  const C = classOf(port.type) as unknown as typeof Int32Array;
  if (C.BYTES_PER_ELEMENT === 4) return new C(words);
  if (port.type === "uint64") return BigUint64Array.from(new Uint32Array(words), BigInt);
  const values = new Int32Array(words);
  return port.type === "int64" ? BigInt64Array.from(values, BigInt) : C.from(values);
}

/** The last run on each device. A run starts when the one before has ended, since a device has one stack of error scopes. */
const tails = new WeakMap<GPUDevice, Promise<unknown>>();

/** A model on a GPU. */
export class GpuModel {
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
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
  /** Reserved blocks of the heap, by the address of their buffer's first element. */
  readonly #blocks = new Map<number, { readonly start: number; readonly end: number }>();
  #top = 0;
  #calls = 0;
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #garbage: GPUBuffer[] = [];
  #ready = false;
  #gone: string | null = null;

  /** Makes the device's objects. `weights` is the weights file (empty when the plan has none). */
  static async create(plan: Plan, wgsl: string, weights: Uint8Array, options: DeviceOptions = {}): Promise<GpuModel> {
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
    this.inputs = plan.manifest.inputs;
    this.outputs = plan.manifest.outputs;
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

  /**
   * One inference; the inputs are copied at once. Outputs are copies, or written into `out`.
   * Rejects with a clear message when an input does not fit.
   */
  async run(inputs: Readonly<Record<string, Given>>, options: GpuRunOptions = {}): Promise<Record<string, Value>> {
    const { manifest } = this.#plan;
    const bound = bindInputs(manifest, inputs);
    const out = options.out ?? {};
    checkOut(manifest, out);
    const symbols = symbolsOf(manifest, bound);
    const words = bound.map(toWords);
    const before = tails.get(this.#device) ?? Promise.resolve();
    const result = before.then(() => this.#run(bound, words, symbols, out, (options.seed ?? 0) | 0));
    tails.set(
      this.#device,
      result.catch(() => undefined),
    );
    return result;
  }

  /** Frees the GPU's memory. The model cannot run any more. */
  dispose(): void {
    if (this.#own) this.#device.destroy();
    for (const b of [...this.#weights, ...Object.values(this.#memory), ...this.#garbage, this.#args, this.#word])
      b.destroy();
    this.#gone = `model "${this.#plan.manifest.name}" is disposed`;
  }

  async #run(
    bound: readonly Bound[],
    words: readonly Uint32Array<ArrayBuffer>[],
    symbols: readonly number[],
    out: Out,
    seed: number,
  ): Promise<Record<string, Value>> {
    if (this.#gone !== null) fail(this.#gone);
    const device = this.#device;
    const plan = this.#plan;
    plan.bindings.forEach((slot, i) => {
      this.#values[slot] = symbols[i]!;
    });
    if (plan.seed !== null) this.#values[plan.seed] = seed;
    plan.requires.forEach((d, i) => {
      if (this.#dim(d) !== 0)
        fail(`dims ${plan.manifest.symbols.map((s, k) => `${s.name} = ${symbols[k]}`)}: ${plan.manifest.requires![i]}`);
    });
    for (const [slot, value] of plan.lets) this.#values[slot] = this.#dim(value);
    plan.inputs.forEach((port, i) => {
      checkDims(bound[i]!, this.#dims(port));
    });
    this.outputs.forEach((port, i) => {
      if (!port.late) checkRoom(port, this.#dims(plan.outputs[i]!), out);
    });

    for (const filter of ["validation", "out-of-memory", "internal"] as const) device.pushErrorScope(filter);
    let failure: unknown = null;
    let results: Record<string, Value> | null = null;
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
        const [target, at] = this.#place(port.buffer);
        if (words[i]!.length > 0) device.queue.writeBuffer(target, at, words[i]!);
      });
      await this.#actions(plan.run);
      results = await this.#read(out);
    } catch (e) {
      failure = e;
      this.#pass?.end();
      this.#pass = this.#encoder = null;
      this.#calls = 0;
    }
    const errors = await Promise.all([1, 2, 3].map(() => device.popErrorScope().catch(() => null)));
    for (const b of this.#garbage) b.destroy();
    this.#garbage = [];
    const error = errors.find((e) => e !== null);
    if (this.#gone !== null) fail(this.#gone);
    if (error) fail(`the GPU refused a command: ${error.message}`);
    if (failure !== null) throw failure;
    return results!;
  }

  #dims(port: PlanPort): number[] {
    return port.shape.map((d) => this.#dim(d));
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
    if (bytes > most) fail(`E303 ${what}: ${bytes} bytes in one buffer; this device binds ${most}`);
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
          this.#moved.delete(a.buffer);
          this.#values[a.symbol] = address;
          this.#blocks.set(this.#address(a.buffer), { start: address, end: this.#top });
          const have = this.#memory.heap?.size ?? 0;
          if (this.#top > have) this.#ensure("heap", Math.max(this.#top, 2 * have), true);
          break;
        }
        case "release": {
          const block = this.#blocks.get(this.#address(a.buffer));
          if (block?.end === this.#top) this.#top = block.start;
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

  async #read(out: Out): Promise<Record<string, Value>> {
    let bytes = 0;
    const ports = this.#plan.outputs.map((port, i) => {
      const dims = this.#dims(port);
      checkRoom(this.outputs[i]!, dims, out);
      const at = bytes;
      const size = 4 * product(dims);
      bytes += size;
      return { port: this.outputs[i]!, buffer: port.buffer, dims, at, size };
    });
    const staging = this.#buffer(bytes, MAP_READ | COPY_DST, "outputs");
    this.#garbage.push(staging);
    for (const { buffer, at, size } of ports) {
      const [source, from] = this.#place(buffer);
      if (size > 0) this.#commands().copyBufferToBuffer(source, from, staging, at, size);
    }
    this.#submit();
    await staging.mapAsync(MAP_READ);
    const mapped = staging.getMappedRange();
    return Object.fromEntries(
      ports.map(({ port, dims, at, size }) => {
        const made = fromWords(mapped.slice(at, at + size), port);
        const to = out[port.name];
        to?.set(made as never);
        const data = to ? (to.length === made.length ? to : to.subarray(0, made.length)) : made;
        return [port.name, { data, dims, type: port.type }];
      }),
    );
  }
}
