// The network on the page: a block is dragged over a query; masks, similarity and ranked list follow.
const home = new URL("live/", import.meta.url);
const at = (name) => document.getElementById(`live-${name}`);
const SHOWN = 8, STEP = 4, BLOCK = [86, 98, 72];
const state = { query: 0, x: 0.5, y: 0.7, share: 0.2, busy: false, again: false };

const facts = await (await fetch(new URL("facts.json", home))).json();
const [H, W] = facts.size, [h, w] = facts.grid, P = facts.parts, N = H * W;

async function pixels(name) {
  const picture = new Image();
  picture.src = new URL(name, home);
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(picture, 0, 0);
  return pen;
}

function surface(canvas, scale = 1) {
  canvas.width = W;
  canvas.height = H;
  canvas.style.width = `${W * scale}px`;
  return canvas.getContext("2d");
}

// The block as rows and columns of pixels: a square in shares of the picture's area, kept inside it.
function block() {
  const side = Math.sqrt(state.share * N);
  const high = Math.min(H, Math.round(side)), wide = Math.min(W, Math.round((state.share * N) / Math.max(high, 1)));
  const top = Math.round(Math.min(Math.max(state.y * H - high / 2, 0), H - high));
  const left = Math.round(Math.min(Math.max(state.x * W - wide / 2, 0), W - wide));
  return state.share ? { top, left, high, wide } : { top: 0, left: 0, high: 0, wide: 0 };
}

function hidden() {
  const data = queries.getImageData(state.query * W, 0, W, H), { top, left, high, wide } = block();
  for (let y = top; y < top + high; y++)
    for (let x = left; x < left + wide; x++) data.data.set(BLOCK, 4 * (y * W + x));
  return data;
}

// Two pictures, the one given and its mirror image, as the network reads them: channels first, in [0, 1].
function tensor({ data }) {
  const values = new Float32Array(6 * N);
  for (let y = 0; y < H; y++)
    for (let x = 0; x < W; x++)
      for (let c = 0; c < 3; c++) {
        const value = data[4 * (y * W + x) + c] / 255;
        values[c * N + y * W + x] = value;
        values[(3 + c) * N + y * W + (W - 1 - x)] = value;
      }
  return new ort.Tensor("float32", values, [2, 3, H, W]);
}

function unit(embeddings) {
  const half = embeddings.length / 2, sum = new Float32Array(half);
  let length = 0;
  for (let i = 0; i < half; i++) length += (sum[i] = embeddings[i] + embeddings[half + i]) ** 2;
  return sum.map((value) => value / Math.sqrt(length));
}

function ranked(embedding) {
  const E = embedding.length, { identity, camera } = facts.queries[state.query];
  const list = facts.gallery
    .map((record, i) => {
      let similarity = 0;
      for (let e = 0; e < E; e++) similarity += embedding[e] * gallery[i * E + e];
      return { i, similarity, right: record.identity === identity, junk: record.identity === identity && record.camera === camera };
    })
    .filter((entry) => !entry.junk)
    .sort((a, b) => b.similarity - a.similarity || a.right - b.right);
  const first = list.findIndex((entry) => entry.right);
  return { list, rank: first + 1, similarity: list[first].similarity };
}

function drawMask(pen, data, mask, top) {
  const shown = new ImageData(W, H);
  for (let y = 0; y < H; y++)
    for (let x = 0; x < W; x++) {
      const p = 4 * (y * W + x), value = mask[Math.floor((y * h) / H) * w + Math.floor((x * w) / W)];
      const colour = facts.map[Math.min(255, Math.floor(Math.min(Math.max(value / top, 0), 1) * 256))];
      const grey = (data[p] + data[p + 1] + data[p + 2]) / 3;
      for (let c = 0; c < 3; c++) shown.data[p + c] = 0.3 * grey + 0.7 * colour[c];
      shown.data[p + 3] = 255;
    }
  pen.putImageData(shown, 0, 0);
}

function drawList(list) {
  at("list").replaceChildren(
    ...list.slice(0, SHOWN).map(({ i, similarity, right }, rank) => {
      const item = document.createElement("li"), canvas = document.createElement("canvas"), said = document.createElement("span");
      surface(canvas, 0.6).drawImage(galleryPictures.canvas, i * W, 0, W, H, 0, 0, W, H);
      canvas.style.border = `4px ${right ? "solid" : "dashed"} ${facts.colours[right ? "right" : "wrong"]}`;
      said.textContent = `${rank + 1}: ${right ? "✓" : "✗"} ${similarity.toFixed(2)}`;
      item.append(canvas, said);
      return item;
    })
  );
}

function mass(mask) {
  const { top, left, high, wide } = block();
  let on = 0, all = 0;
  for (let row = 0; row < h; row++)
    for (let column = 0; column < w; column++) {
      const ys = Math.max(0, Math.min(top + high, ((row + 1) * H) / h) - Math.max(top, (row * H) / h));
      const xs = Math.max(0, Math.min(left + wide, ((column + 1) * W) / w) - Math.max(left, (column * W) / w));
      const value = mask[row * w + column];
      all += value;
      on += value * ys * xs * ((h * w) / N);
    }
  return all ? on / all : 0;
}

async function look() {
  const began = performance.now(), image = hidden();
  const out = await session.run({ images: tensor(image) });
  const competitive = out.competitive.data.slice(0, P * h * w), cooperative = out.cooperative.data.slice(0, h * w);
  const embedding = unit(out.embeddings.data), { list, rank, similarity } = ranked(embedding);
  if (!state.share) tops[state.query] = Math.max(1, ...cooperative);
  const top = tops[state.query] ?? Math.max(1, ...cooperative);
  pens.picture.putImageData(image, 0, 0);
  drawMask(pens.cooperative, image.data, cooperative, top);
  pens.parts.forEach((pen, i) => drawMask(pen, image.data, competitive.slice(i * h * w, (i + 1) * h * w), top));
  drawList(list);
  const { top: row, left, high, wide } = block();
  at("share").textContent = `${Math.round(100 * state.share)} %`;
  at("told").textContent =
    `${Math.round((100 * high * wide) / N)} % of the picture hidden; ${Math.round(100 * mass(cooperative))} % of the mask lies on the block. ` +
    `Most similar true match: ${similarity.toFixed(2)}, at rank ${rank}.`;
  const milliseconds = performance.now() - began;
  at("status").textContent = `Masks and ranked list in ${Math.round(milliseconds)} ms.`;
  window.scmLive = { query: state.query, block: { top: row, left, high, wide }, competitive: [...competitive], embedding: [...embedding], rank, similarity, head: list.slice(0, SHOWN).map((entry) => entry.i), milliseconds, moves: (window.scmLive?.moves ?? 0) + 1 };
}

// A move that comes while the network runs waits, and only the last such move counts.
async function moved() {
  if (state.busy) return void (state.again = true);
  state.busy = true;
  do {
    state.again = false;
    await look();
  } while (state.again);
  state.busy = false;
}

function place(event) {
  const box = at("picture").getBoundingClientRect();
  state.x = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  state.y = Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
  moved();
}

function resize(share) {
  state.share = Math.min(0.6, Math.max(0, Math.round(share * 100) / 100));
  at("size").value = 100 * state.share;
  moved();
}

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function press(event) {
  if (event.key in KEYS) {
    state.x = Math.min(1, Math.max(0, state.x + (KEYS[event.key][0] * STEP) / W));
    state.y = Math.min(1, Math.max(0, state.y + (KEYS[event.key][1] * STEP) / H));
    moved();
  } else if (event.key === "+" || event.key === "=") resize(state.share + 0.05);
  else if (event.key === "-") resize(state.share - 0.05);
  else return;
  event.preventDefault();
}

let ort, session, queries, galleryPictures, gallery;
const tops = {}, pens = { picture: surface(at("picture"), 2), cooperative: surface(at("cooperative"), 2), parts: [] };
for (let part = 1; part <= P; part++) {
  const figure = document.createElement("figure"), canvas = document.createElement("canvas"), words = document.createElement("figcaption");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `competitive mask ${part}`);
  words.textContent = `competitive ${part}`;
  figure.append(canvas, words);
  at("parts").append(figure);
  pens.parts.push(surface(canvas, 1.2));
}
try {
  ort = await import(new URL("ort.wasm.min.mjs", home));
  ort.env.wasm.wasmPaths = home.href;
  const packed = await fetch(new URL("ort-wasm-simd-threaded.packed", home));
  ort.env.wasm.wasmBinary = await new Response(packed.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  ort.env.wasm.numThreads = 1; // more want headers that a plain web server doesn't send
  session = await ort.InferenceSession.create(new URL("network.onnx", home).href, { executionProviders: ["wasm"] });
  [queries, galleryPictures] = await Promise.all([pixels("queries.png"), pixels("gallery.webp")]);
  gallery = new Float32Array(await (await fetch(new URL("gallery.bin", home))).arrayBuffer());
  const { net, epochs, seed, metrics, queries: tested } = facts.run;
  const percent = (value) => `${(100 * value).toFixed(1)} %`;
  at("run").textContent =
    `The run of scm demo, ${net}, ${epochs} epochs, seed ${seed}: on its own ${tested} occluded queries rank-1 ${percent(metrics.top1)}, mAP ${percent(metrics.mAP)}; one run.`;
  at("query").max = facts.queries.length - 1;
  at("query").addEventListener("input", async () => { state.query = +at("query").value; await moved(); });
  at("size").addEventListener("input", () => resize(at("size").value / 100));
  at("picture").addEventListener("keydown", press);
  at("picture").addEventListener("pointerdown", (event) => { at("picture").setPointerCapture(event.pointerId); place(event); });
  at("picture").addEventListener("pointermove", (event) => { if (event.buttons) place(event); });
  await moved();
} catch (error) {
  at("status").textContent = `The network doesn't run here (${error.message}). It needs a web server that sends the site's files, and a browser with WebAssembly.`;
  throw error;
}
