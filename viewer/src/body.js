// One person's bodies in the 3D view: strands of the samples, the point estimate, the truth and the ellipsoids.
import * as THREE from "three";
import { Clip } from "./clip.js";
import { colourAt, css } from "./colours.js";

const UP = new THREE.Vector3(0, 1, 0);
const NOWHERE = new THREE.Matrix4().makeScale(0, 0, 0);

export class Body {
  constructor(data, person, most) {
    Object.assign(this, { data, person });
    const { bones, joints } = data;
    this.group = new THREE.Group();
    this.strands = this.lines(most * bones.length);
    const ball = new THREE.SphereGeometry(1, 20, 14);
    const rod = new THREE.CylinderGeometry(1, 1, 1, 12, 1, true);
    this.joints = this.instances(ball, joints.length);
    this.rods = this.instances(rod, bones.length);
    this.truth = this.instances(rod, bones.length);
    this.ellipsoids = this.instances(ball, joints.length, { transparent: true, opacity: 0.28, depthWrite: false });
    this.group.renderOrder = 1;
  }

  lines(count) {
    const geometry = new THREE.BufferGeometry();
    for (const name of ["position", "color"]) geometry.setAttribute(name, new THREE.BufferAttribute(new Float32Array(6 * count), 3));
    const material = new THREE.LineBasicMaterial({ vertexColors: true, transparent: true, depthWrite: false });
    const lines = new THREE.LineSegments(geometry, material);
    lines.frustumCulled = false;
    this.group.add(lines);
    return lines;
  }

  instances(geometry, count, options) {
    const mesh = new THREE.InstancedMesh(geometry, new THREE.MeshLambertMaterial(options), count);
    mesh.frustumCulled = false;
    this.group.add(mesh);
    return mesh;
  }

  // Where the pelvis of this frame is in the scene: above the floor, and at its place if the bodies move.
  origin(frame, state, floor) {
    if (!state.show.place || !frame.root) return new THREE.Vector3(0, -this.person.floor, 0);
    return new THREE.Vector3(...frame.root).sub(new THREE.Vector3(floor.x, floor.y, floor.z));
  }

  // Shows a frame; returns the number of strands drawn.
  update(index, state, floor) {
    const frame = this.person.frames.get(index);
    this.group.visible = Boolean(frame);
    if (!frame) return 0;
    this.group.position.copy(this.origin(frame, state, floor));
    const colours = this.data.joints.map((_, joint) => this.colour(frame, joint, state));
    const count = this.drawStrands(frame, state, colours);
    this.drawRods(this.rods, frame.pose, state.show.estimate, state, (joint) => colours[joint], 0.010);
    const truth = new THREE.Color(css("--truth"));
    this.drawRods(this.truth, frame.truth, state.show.truth, state, () => truth, 0.008);
    this.drawJoints(frame, state, colours);
    return count;
  }

  colour(frame, joint, state) {
    const side = new THREE.Color(this.data.colours[this.data.sides[joint]]);
    if (state.colour === "side" || !joint) return side;
    const [r, g, b] = colourAt((Clip.longest(frame, joint) * this.data.axes[state.level]) / state.most);
    return new THREE.Color().setRGB(r / 255, g / 255, b / 255, THREE.SRGBColorSpace);
  }

  drawStrands(frame, state, colours) {
    const { bones, sides } = this.data;
    const count = frame.samples && state.show.samples ? Math.min(state.samples, this.person.count) : 0;
    const { position, color } = this.strands.geometry.attributes;
    const rgb = colours.map((colour) => colour.toArray());
    let i = 0;
    for (let s = 0; s < count; s++) {
      for (const [joint, parent] of bones) {
        const isHidden = state.hidden.has(joint) || state.hidden.has(parent);
        for (const end of [joint, isHidden ? joint : parent]) {
          for (let c = 0; c < 3; c++, i++) {
            position.array[i] = frame.pose[3 * end + c] + frame.samples[(s * sides.length + end) * 3 + c];
            color.array[i] = rgb[joint][c];
          }
        }
      }
    }
    position.needsUpdate = color.needsUpdate = true;
    this.strands.geometry.setDrawRange(0, i / 3);
    this.strands.material.opacity = Math.min(0.7, 2.2 / Math.sqrt(count || 1));
    return count;
  }

  drawRods(mesh, pose, isShown, state, colourOf, radius) {
    const matrix = new THREE.Matrix4();
    const [start, along, turn] = [new THREE.Vector3(), new THREE.Vector3(), new THREE.Quaternion()];
    mesh.visible = Boolean(pose) && isShown;
    if (!mesh.visible) return;
    this.data.bones.forEach(([joint, parent], n) => {
      start.fromArray(pose, 3 * joint);
      along.fromArray(pose, 3 * parent).sub(start);
      const length = along.length();
      const isHidden = state.hidden.has(joint) || state.hidden.has(parent);
      start.addScaledVector(along, 0.5);
      turn.setFromUnitVectors(UP, along.normalize());
      mesh.setMatrixAt(n, isHidden || length < 1e-6 ? NOWHERE : matrix.compose(start, turn, new THREE.Vector3(radius, length, radius)));
      mesh.setColorAt(n, colourOf(joint));
    });
    mesh.instanceMatrix.needsUpdate = mesh.instanceColor.needsUpdate = true;
  }

  drawJoints(frame, state, colours) {
    const [matrix, place] = [new THREE.Matrix4(), new THREE.Vector3()];
    this.joints.visible = state.show.estimate;
    this.ellipsoids.visible = state.show.ellipsoids;
    for (let joint = 0; joint < colours.length; joint++) {
      place.fromArray(frame.pose, 3 * joint);
      const isHidden = state.hidden.has(joint);
      this.joints.setMatrixAt(joint, isHidden ? NOWHERE : matrix.makeScale(0.019, 0.019, 0.019).setPosition(place));
      this.joints.setColorAt(joint, colours[joint]);
      const rows = [0, 1, 2].map((row) => {
        const axis = new THREE.Vector3().fromArray(frame.axes, 9 * joint + 3 * row).multiplyScalar(this.data.axes[state.level]);
        return axis.length() < 2e-3 ? axis.set(row === 0, row === 1, row === 2).multiplyScalar(2e-3) : axis;
      });
      if (matrix.makeBasis(...rows).determinant() < 0) matrix.makeBasis(rows[0], rows[1], rows[2].negate());
      this.ellipsoids.setMatrixAt(joint, isHidden || !joint ? NOWHERE : matrix.setPosition(place));
      this.ellipsoids.setColorAt(joint, colours[joint]);
    }
    for (const mesh of [this.joints, this.ellipsoids]) mesh.instanceMatrix.needsUpdate = mesh.instanceColor.needsUpdate = true;
  }
}
