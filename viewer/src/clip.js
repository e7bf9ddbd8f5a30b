// The data of the page: what prpose/view/page.py packs, unpacked frame by frame.

// 16-bit numbers of a block: low bytes, then high bytes, deflated, in multiples of its unit.
async function unpack(block) {
  const bytes = Uint8Array.from(atob(block.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const values = new Float32Array(planes.length / 2);
  for (let i = 0; i < values.length; i++) values[i] = (((planes[i] | (planes[values.length + i] << 8)) << 16) >> 16) * block.unit;
  return values;
}

// All arrays of a person's blocks, by name.
async function unpackAll(content) {
  const names = ARRAYS.filter((name) => content[name]);
  const values = await Promise.all(names.map((name) => unpack(content[name])));
  return Object.fromEntries(names.map((name, n) => [name, values[n]]));
}

const ARRAYS = ["pose", "axes", "flagged", "samples", "root", "keypoints", "ellipses", "truth"];

// One person, or one model's prediction: what is constant, and a record of arrays by index of the time line.
export class Person {
  constructor(content) {
    this.name = content.name;
    this.size = content.size;
    this.floor = content.floor;
    this.drawn = content.drawn;
    this.estimate = content.estimate;
    this.ellipsesOf = content.ellipses_of;
    this.warnings = content.warnings;
    this.count = content.samples ? content.samples.shape[1] : 0;
    this.hasTruth = Boolean(content.truth);
    this.frames = new Map();
  }

  add(arrays, indices) {
    indices.forEach((index, row) => {
      const cut = ([name, values]) => [name, values.subarray((row * values.length) / indices.length, ((row + 1) * values.length) / indices.length)];
      this.frames.set(index, Object.fromEntries(Object.entries(arrays).map(cut)));
    });
  }
}

export class Clip {
  constructor(data) {
    this.data = data;
    this.numbers = data.numbers ?? [];
    this.seconds = data.seconds ?? null;
    this.images = new Map(Object.entries(data.images ?? {}).map(([index, image]) => [Number(index), image]));
    this.people = [];
    const known = [...this.images.keys()].sort((a, b) => a - b);
    this.reach = known.reduce((most, index, n) => Math.max(most, n ? index - known[n - 1] : 0), 1);
  }

  async load() {
    for (const content of this.data.people ?? []) {
      const person = new Person(content);
      person.add(await unpackAll(content), content.start);
      this.people.push(person);
    }
    return this;
  }

  // A message of a live stream: one more frame; only the last ones are kept. Nothing of it is seen before all is there.
  async push(message, most) {
    const unpacked = await Promise.all(message.people.map(unpackAll));
    const index = this.numbers.length;
    this.numbers.push(message.number);
    (this.seconds ??= []).push(message.seconds);
    for (const [n, content] of message.people.entries()) {
      this.people[n] ??= new Person(content);
      this.people[n].add(unpacked[n], [index]);
    }
    if (message.image) this.images.set(index, message.image);
    for (const frames of [this.images, ...this.people.map((person) => person.frames)]) {
      for (const old of frames.keys()) if (old < index - most) frames.delete(old);
    }
  }

  // The image of a frame or, if not all frames have one, the last one before it.
  image(index) {
    for (let i = index; i >= 0 && i > index - this.reach; i--) if (this.images.has(i)) return { index: i, data: this.images.get(i) };
    return null;
  }

  // Longest semi-axis of a joint's ellipsoid at the stored level, metres.
  static longest(frame, joint) {
    return Math.hypot(...frame.axes.subarray(9 * joint, 9 * joint + 3));
  }
}
