// Liver-VLM's small networks in plain script: convolutions, FC_I, cosines, and Grad-CAM without a pass back.
// Weights come as network.py writes them: int8 rows with a scale each, batch norms folded into the convolutions.
() => {
  /** The arrays of a safetensors file, by name, and its metadata. */
  function readTensors(bytes) {
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    const types = { I8: Int8Array, U8: Uint8Array, I16: Int16Array, F32: Float32Array };
    const { __metadata__: told, ...tensors } = header;
    const about = Object.fromEntries(Object.entries(told).map(([name, text]) => [name, JSON.parse(text)]));
    for (const [name, { dtype, shape, data_offsets }] of Object.entries(tensors)) {
      const [start, end] = data_offsets.map((at) => at + 8 + length);
      tensors[name] = { shape, data: new types[dtype](bytes.slice(start, end).buffer) };
    }
    return { about, tensors };
  }

  /** Float32 rows of int8 ones and their scales. */
  function rowsOf(tensors, name) {
    const { data, shape } = tensors[name];
    const scales = tensors[`${name}.scales`]?.data;
    const width = data.length / shape[0];
    return {
      shape,
      data: scales ? Float32Array.from(data, (value, i) => Math.fround(value * scales[(i / width) | 0])) : data,
    };
  }

  const work = new Float32Array(160 * 1024); // what the filters lie on, place by place; grows where it is too small
  /** Convolution with a shift: x is { data: channels x side x side, side }. */
  function convolve(x, { shape: [outs, ins, k], data: filters }, shifts, stride) {
    const [from, half] = [x.side, k >> 1];
    const side = Math.floor((from + 2 * half - k) / stride) + 1;
    const [places, taps] = [side * side, ins * k * k];
    const seen = places * taps > work.length ? new Float32Array(places * taps) : work;
    for (let place = 0, at = 0; place < places; place += 1) {
      const [top, left] = [Math.floor(place / side) * stride - half, (place % side) * stride - half];
      for (let channel = 0; channel < ins; channel += 1) {
        for (let y = top; y < top + k; y += 1) {
          for (let column = left, row = (channel * from + y) * from; column < left + k; column += 1, at += 1) {
            seen[at] = y >= 0 && y < from && column >= 0 && column < from ? x.data[row + column] : 0;
          }
        }
      }
    }
    const data = new Float32Array(outs * places);
    for (let out = 0; out < outs; out += 1) {
      const first = out * taps;
      for (let place = 0; place < places; place += 4) {
        // every map here has a multiple of four places
        let [a, b, c, d] = [0, 0, 0, 0];
        for (let tap = 0, at = place * taps; tap < taps; tap += 1, at += 1) {
          const weight = filters[first + tap];
          a += weight * seen[at];
          b += weight * seen[at + taps];
          c += weight * seen[at + 2 * taps];
          d += weight * seen[at + 3 * taps];
        }
        const at = out * places + place;
        data[at] = a + shifts[out];
        data[at + 1] = b + shifts[out];
        data[at + 2] = c + shifts[out];
        data[at + 3] = d + shifts[out];
      }
    }
    return { data, side };
  }

  function relu(x) {
    for (let i = 0; i < x.data.length; i += 1) if (x.data[i] < 0) x.data[i] = 0;
    return x;
  }

  /** The largest of 3 x 3, every second place, of what is nowhere negative. */
  function pool({ data, side: from }) {
    const side = (from + 1) >> 1;
    const pooled = new Float32Array((data.length / from ** 2) * side ** 2);
    for (let i = 0; i < pooled.length; i += 1) {
      const [c, y, x] = [Math.floor(i / side ** 2), 2 * (Math.floor(i / side) % side), 2 * (i % side)];
      for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, from - 1); row += 1)
        for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, from - 1); column += 1)
          pooled[i] = Math.max(pooled[i], data[(c * from + row) * from + column]);
    }
    return { data: pooled, side };
  }

  function dot(a, b) {
    let sum = 0;
    for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
    return sum;
  }
  const row = ({ data, shape }, index) => data.subarray(index * shape[1], (index + 1) * shape[1]);

  /** A network of the file: from channels in HU to the cosines with some vectors and their Grad-CAM maps. */
  function network(tensors, name) {
    const part = (key) => rowsOf(tensors, `${name}/${key}`);
    const names = Object.keys(tensors).filter((key) => key.startsWith(`${name}/`) && key.endsWith(".bias"));
    const layers = Object.fromEntries(
      names
        .map((key) => key.slice(name.length + 1, -5))
        .map((key) => [key, [part(`${key}.weight`), part(`${key}.bias`).data]]),
    );
    const [first, vectors, scale] = [part("fc_i"), part("vectors"), part("scale").data[0]];
    const conv = (x, key, stride) => convolve(x, ...layers[key], stride);
    const [joint, dim] = first.shape;

    function features(x) {
      x = pool(relu(conv(x, "conv1", 2)));
      for (const stage of [1, 2, 3, 4]) {
        const [name, stride] = [`layer${stage}.0`, stage > 1 ? 2 : 1];
        const straight = stride > 1 ? conv(x, `${name}.downsample.0`, stride) : x;
        const bent = conv(relu(conv(x, `${name}.conv1`, stride)), `${name}.conv2`, 1);
        bent.data.forEach((value, i) => (bent.data[i] = value + straight.data[i]));
        x = relu(bent);
      }
      return x;
    }

    /** x: channels in [-1, 1].  rows: of the vectors, one a class. */
    function answer(x, rows) {
      const { data, side } = features(x);
      const places = side ** 2;
      const pooled = Float32Array.from({ length: dim }, (_, d) => {
        return data.subarray(d * places, (d + 1) * places).reduce((sum, value) => sum + value, 0) / places;
      });
      const image = Float32Array.from({ length: joint }, (_, j) => dot(row(first, j), pooled)); // FC_I
      const length = Math.sqrt(dot(image, image)) || 1e-12;
      const units = rows.map((r) => {
        const [vector, size] = [row(vectors, r), Math.sqrt(dot(row(vectors, r), row(vectors, r)))];
        return vector.map((value) => value / size);
      });
      const cosine = units.map((vector) => dot(image, vector) / length); // Equation 3
      // The gradient of a cosine c with respect to the image's vector u is (its unit vector - c u / |u|) / |u|.
      const maps = units.map((vector, c) => {
        const slope = vector.map((value, j) => (value - (cosine[c] * image[j]) / length) / length);
        const weights = new Float64Array(dim);
        for (let j = 0; j < joint; j += 1) {
          for (let d = 0; d < dim; d += 1) weights[d] += slope[j] * first.data[j * dim + d];
        }
        return Array.from({ length: places }, (_, i) => {
          return weights.reduce((sum, weight, d) => sum + weight * data[d * places + i], 0) / places;
        });
      });
      return { cosine, maps, grid: side };
    }
    return { answer, scale };
  }

  /** The networks of a file, by name, and its sentences: [template, order, class, text] for each vector. */
  function readNetworks(bytes) {
    const { about, tensors } = readTensors(bytes);
    return {
      networks: new Map(about.networks.map((name) => [name, network(tensors, name)])),
      sentences: about.sentences,
    };
  }

  return { readTensors, readNetworks };
}
