// The 2D input: the frame, if the page has it, with keypoints and their ellipses.
import { css } from "./colours.js";

export class Picture {
  constructor(canvas, data) {
    this.canvas = canvas;
    this.data = data;
    this.cache = { index: -1, image: null };
  }

  draw(clip, index, state) {
    const whole = clip.people.find((person) => person.size)?.size;
    if (!whole) return;
    const [left, top, ...size] = state.show.zoom ? this.region(clip, whole) : [0, 0, ...whole];
    const { canvas } = this;
    const width = canvas.clientWidth;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [wide, tall] = [Math.round(width * ratio), Math.round((width * ratio * size[1]) / size[0])];
    if (canvas.width !== wide || canvas.height !== tall) {
      canvas.style.aspectRatio = `${size[0]} / ${size[1]}`;
      [canvas.width, canvas.height] = [wide, tall];
    }
    const pen = canvas.getContext("2d");
    pen.resetTransform();
    pen.clearRect(0, 0, wide, tall);
    this.panel = css("--panel");
    const found = clip.image(index);
    pen.scale(wide / size[0], wide / size[0]);
    pen.translate(-left, -top);
    pen.strokeStyle = css("--line");
    pen.strokeRect(0, 0, ...whole);
    if (found && this.cache.image) pen.drawImage(this.cache.image, 0, 0, ...whole); // the last one until this one is decoded
    if (found && this.cache.index !== found.index) this.fetch(found, () => this.draw(clip, state.index, state));
    const unit = size[0] / width;
    clip.people.forEach((person, n) => {
      const frame = person.frames.get(index);
      if (frame?.keypoints) this.person(pen, frame, unit, state, clip.data.views?.length > 1 && n > 0);
    });
  }

  // The part of the image in which keypoints of any frame lie, with a margin: left, top, width and height.
  region(clip, whole) {
    if (this.data.live) return [0, 0, ...whole];
    if (this.found) return this.found;
    const [low, high] = [[Infinity, Infinity], [-Infinity, -Infinity]];
    for (const person of clip.people) {
      for (const { keypoints } of person.frames.values()) {
        keypoints?.forEach((value, i) => ((low[i % 2] = Math.min(low[i % 2], value)), (high[i % 2] = Math.max(high[i % 2], value))));
      }
    }
    const [width, height] = [high[0] - low[0], high[1] - low[1]];
    const [tall, wide] = [Math.max(height, width * 0.75) * 1.3, Math.max(width, height * 0.75) * 1.3];
    return (this.found = [(low[0] + high[0] - wide) / 2, (low[1] + high[1] - tall) / 2, wide, tall]);
  }

  async fetch(found, done) {
    if (this.loading === found.index) return;
    this.loading = found.index;
    const bytes = Uint8Array.from(atob(found.data), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes])).catch(() => null);
    if (image) this.cache = { index: found.index, image };
    this.loading = null;
    if (image) done();
  }

  person(pen, frame, unit, state, isSecond) {
    const { bones, sides, colours } = this.data;
    const at = (joint) => [frame.keypoints[2 * joint], frame.keypoints[2 * joint + 1]];
    const shown = (joint) => !state.hidden.has(joint);
    pen.setLineDash(isSecond ? [4 * unit, 3 * unit] : []);
    for (const [wide, narrow] of [[4, 0], [0, 2]]) {
      for (const [joint, parent] of bones) {
        if (!shown(joint) || !shown(parent)) continue;
        pen.lineWidth = (wide || narrow) * unit;
        pen.strokeStyle = wide ? this.panel : colours[sides[joint]];
        pen.beginPath();
        pen.moveTo(...at(joint));
        pen.lineTo(...at(parent));
        pen.stroke();
      }
    }
    for (let joint = 0; joint < sides.length; joint++) {
      if (!shown(joint)) continue;
      pen.lineWidth = 1.2 * unit;
      pen.strokeStyle = pen.fillStyle = colours[sides[joint]];
      const matrix = frame.ellipses?.subarray(4 * joint, 4 * joint + 4);
      if (matrix) {
        pen.beginPath();
        for (let i = 0; i <= 40; i++) {
          const [c, s] = [Math.cos((i * Math.PI) / 20), Math.sin((i * Math.PI) / 20)].map((v) => v * this.data.ellipses[state.level]);
          pen.lineTo(at(joint)[0] + matrix[0] * c + matrix[1] * s, at(joint)[1] + matrix[2] * c + matrix[3] * s);
        }
        pen.globalAlpha = 0.15;
        pen.fill();
        pen.globalAlpha = 1;
        pen.stroke();
      }
      pen.beginPath();
      pen.arc(...at(joint), 2.5 * unit, 0, 2 * Math.PI);
      if (frame.flagged?.[joint]) pen.fillStyle = this.panel;
      pen.fill();
      pen.stroke();
    }
  }
}
