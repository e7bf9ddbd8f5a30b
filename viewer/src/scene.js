// The 3D view: a scene for each group of people, side by side on one canvas, seen by one camera.
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { Body } from "./body.js";
import { css } from "./colours.js";

const EYES = { camera: [0, 0.12, 1], side: [1, 0.12, 0.0001], above: [0, 1, 0.0001] }; // side: from the camera's right
const CELLS = 8;

export class Scene {
  constructor(canvas, clip, most) {
    Object.assign(this, { canvas, clip, most });
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true });
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    this.renderer.setScissorTest(true);
    this.camera = new THREE.PerspectiveCamera(32, 1, 0.05, 200);
    this.orbit = new OrbitControls(this.camera, canvas);
    this.views = [];
    this.build();
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  // Scenes and bodies for the people known so far.
  build() {
    const { data, people } = this.clip;
    for (const members of data.views ?? [people.map((_, n) => n)]) {
      const scene = new THREE.Scene();
      const light = new THREE.DirectionalLight("#ffffff", 1.6);
      light.position.set(1, 3, 4);
      scene.add(new THREE.HemisphereLight("#ffffff", "#8a8a8a", 2.2), light);
      const bodies = members.map((n) => new Body(data, people[n], this.most));
      for (const body of bodies) scene.add(body.group);
      this.views.push({ scene, bodies });
    }
  }

  // The ground under all people, and the middle of their places at the start.
  floor() {
    const roots = [];
    let y = Infinity;
    for (const person of this.clip.people) {
      const heights = [];
      let first = null;
      for (const frame of person.frames.values()) {
        if (!frame.root) continue;
        first ??= frame.root;
        heights.push(frame.root[1] + person.floor);
      }
      if (first) roots.push(first);
      heights.sort((a, b) => a - b);
      if (heights.length) y = Math.min(y, heights[Math.floor(heights.length / 2)]);
    }
    const middle = (c) => roots.reduce((sum, root) => sum + root[c], 0) / (roots.length || 1);
    return { x: middle(0), y: Number.isFinite(y) ? y : 0, z: middle(2) };
  }

  // Grid, axes and a camera at a distance that holds all frames.
  arrange(state) {
    this.ground = this.floor();
    const box = new THREE.Box3();
    const point = new THREE.Vector3();
    for (const body of this.views.flatMap((view) => view.bodies)) {
      for (const frame of body.person.frames.values()) {
        const origin = body.origin(frame, state, this.ground);
        for (let joint = 0; joint < this.clip.data.joints.length; joint++) box.expandByPoint(point.fromArray(frame.pose, 3 * joint).add(origin));
      }
    }
    if (box.isEmpty()) box.set(new THREE.Vector3(-0.5, 0, -0.5), new THREE.Vector3(0.5, 1.7, 0.5));
    this.box = box;
    const half = Math.max(2, Math.ceil(Math.max(...["x", "z"].flatMap((axis) => [-box.min[axis], box.max[axis]])) + 0.5));
    for (const view of this.views) {
      view.scene.background = new THREE.Color(css("--panel"));
      if (view.grid) view.scene.remove(view.grid, view.axes);
      view.grid = new THREE.GridHelper(2 * half, 2 * half, css("--grid"), css("--grid"));
      view.axes = axes();
      view.scene.add(view.grid, view.axes);
    }
  }

  setView(name) {
    const size = this.box.getSize(new THREE.Vector3());
    const aspect = this.aspect();
    const tall = name === "above" ? size.z : size.y;
    const wide = name === "side" ? size.z : size.x;
    const needed = Math.max(tall + 0.3, (Math.max(wide, name === "camera" ? 1 : wide) + 0.3) / aspect, 1.2);
    const deep = name === "above" ? size.y : name === "side" ? size.x : size.z;
    const distance = needed / (2 * Math.tan((this.camera.fov * Math.PI) / 360)) + deep / 2;
    this.box.getCenter(this.orbit.target);
    this.camera.position.copy(this.orbit.target).addScaledVector(new THREE.Vector3(...EYES[name]).normalize(), distance);
    this.camera.up.set(0, 1, 0);
    this.orbit.update();
  }

  aspect() {
    return this.canvas.clientWidth / this.views.length / this.canvas.clientHeight;
  }

  update(index, state) {
    let strands = 0;
    for (const view of this.views) {
      view.grid.visible = view.axes.visible = state.show.grid;
      for (const body of view.bodies) strands += body.update(index, state, this.ground);
    }
    this.canvas.dataset.strands = strands;
  }

  render() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const size = this.renderer.getSize(new THREE.Vector2());
    if (size.x !== width || size.y !== height) this.renderer.setSize(width, height, false);
    this.camera.aspect = this.aspect();
    this.camera.updateProjectionMatrix();
    this.views.forEach((view, n) => {
      const left = Math.round((n * width) / this.views.length);
      const part = [left, 0, Math.round(((n + 1) * width) / this.views.length) - left, height];
      this.renderer.setViewport(...part);
      this.renderer.setScissor(...part);
      this.renderer.render(view.scene, this.camera);
    });
  }

  key(event) {
    const arrows = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const away = this.camera.position.clone().sub(this.orbit.target);
    if (arrows[event.key] && event.shiftKey) {
      const [x, y] = arrows[event.key].map((step) => step * 0.04 * away.length());
      const shift = new THREE.Vector3(x, y, 0).applyQuaternion(this.camera.quaternion);
      this.orbit.target.add(shift);
    } else if (arrows[event.key]) {
      const ball = new THREE.Spherical().setFromVector3(away);
      ball.theta -= arrows[event.key][0] * 0.1;
      ball.phi = Math.min(Math.max(ball.phi - arrows[event.key][1] * 0.1, 0.01), Math.PI - 0.01);
      away.setFromSpherical(ball);
    } else if (["+", "=", "-", "−"].includes(event.key)) {
      away.multiplyScalar(event.key === "+" || event.key === "=" ? 0.9 : 1 / 0.9);
    } else return;
    event.preventDefault();
    this.camera.position.copy(this.orbit.target).add(away);
    this.orbit.update();
    this.orbit.dispatchEvent({ type: "change" });
  }
}

// Axes at a corner of the grid, with names: x to the camera's right, y up, z towards the camera.
function axes() {
  const group = new THREE.Group();
  const ends = { "image right": [1, 0, 0], up: [0, 1, 0], "to camera": [0, 0, 1] };
  for (const [name, end] of Object.entries(ends)) {
    const tip = new THREE.Vector3(...end).multiplyScalar(0.4);
    const geometry = new THREE.BufferGeometry().setFromPoints([new THREE.Vector3(), tip]);
    group.add(new THREE.Line(geometry, new THREE.LineBasicMaterial({ color: css("--ink") })));
    const label = new THREE.Sprite(new THREE.SpriteMaterial({ map: written(name), depthTest: false }));
    label.position.copy(tip.multiplyScalar(1.25));
    label.scale.set(0.4, 0.1, 1);
    group.add(label);
  }
  group.position.set(-0.8, 0, -0.9);
  return group;
}

function written(text) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [256, 64];
  const pen = canvas.getContext("2d");
  pen.font = "44px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillStyle = css("--ink");
  pen.fillText(text, 128, 32);
  const texture = new THREE.CanvasTexture(canvas);
  texture.colorSpace = THREE.SRGBColorSpace;
  return texture;
}
