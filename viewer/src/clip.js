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

  async add(content, indices) {
    for (const name of ARRAYS) {
      if (!content[name]) continue;
      const values = await unpack(content[name]);
      const size = values.length / indices.length;
      indices.forEach((index, row) => {
        if (!this.frames.has(index)) this.frames.set(index, {});
        this.frames.get(index)[name] = values.subarray(row * size, (row + 1) * size);
      });
    }
  }
}

export class Clip {
  constructor(data) {
    this.data = data;
    this.numbers = data.numbers ?? [];
    this.seconds = data.seconds ?? null;
    this.images = new Map(Object.entries(data.images ?? {}).map(([index, image]) => [Number(index), image]));
    this.people = [];
  }

  async load() {
    for (const content of this.data.people ?? []) {
      const person = new Person(content);
      await person.add(content, content.start);
      this.people.push(person);
    }
    return this;
  }

  // A message of a live stream: one more frame; only the last ones are kept.
  async push(message, most) {
    const index = this.numbers.length;
    this.numbers.push(message.number);
    (this.seconds ??= []).push(message.seconds);
    for (const [n, content] of message.people.entries()) {
      this.people[n] ??= new Person(content);
      await this.people[n].add(content, [index]);
    }
    if (message.image) this.images.set(index, message.image);
    for (const frames of [this.images, ...this.people.map((person) => person.frames)]) {
      for (const old of frames.keys()) if (old < index - most) frames.delete(old);
    }
  }

  image(index) {
    for (let i = index; i >= 0 && i > index - 60; i--) if (this.images.has(i)) return { index: i, data: this.images.get(i) };
    return null;
  }

  // Longest semi-axis of a joint's ellipsoid at the stored level, metres.
  static longest(frame, joint) {
    return Math.hypot(...frame.axes.subarray(9 * joint, 9 * joint + 3));
  }
}
