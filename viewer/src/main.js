// The page: what is shown, the controls, playback.
import { Clip } from "./clip.js";
import { css, gradient } from "./colours.js";
import { Picture } from "./picture.js";
import { Scene } from "./scene.js";

const KEPT = 300; // frames of a live stream
const element = (id) => document.getElementById(id);
const data = JSON.parse(element("data").textContent);
const clip = new Clip(data);
const dark = matchMedia("(prefers-color-scheme: dark)");
const state = { index: 0, playing: false, speed: 1, samples: 1, level: data.level, colour: "side", show: {}, hidden: new Set(), most: 0.3 };
let scene, picture, started;
let filled = 0; // when the table was; playback fills it five times a second

function theme() {
  document.documentElement.dataset.theme = element("theme").value || (dark.matches ? "dark" : "light");
  scene?.arrange(state);
  if (scene) legend();
}

// The largest semi-axis of the clip, which ends the scale of colours.
function largest() {
  let most = 0.05;
  for (const person of clip.people) {
    for (const frame of person.frames.values()) {
      for (let joint = 1; joint < data.joints.length; joint++) most = Math.max(most, Clip.longest(frame, joint));
    }
  }
  return Math.ceil(most * data.axes[state.level] * 20) / 20;
}

function makeControls() {
  element("title").textContent = document.title = data.title;
  data.levels.forEach((level, n) => element("level").add(new Option(`${Math.round(100 * level)} %`, n, n === data.level, n === data.level)));
  const most = Math.max(1, ...clip.people.map((person) => person.count));
  element("samples").max = most;
  element("samples").value = state.samples = Math.min(most, 200);
  element("samples").parentElement.hidden = !clip.people.some((person) => person.count);
  const has = (name) => clip.people.some((person) => person.frames.values().next().value?.[name]);
  element("show-truth").parentElement.hidden = !clip.people.some((person) => person.hasTruth);
  element("show-samples").parentElement.hidden = !has("samples");
  element("show-place").parentElement.hidden = !has("root");
  element("show-place").checked = has("root") && data.views?.length === 1 && clip.people.length > 1;
  element("image").hidden = !has("keypoints");
  element("show-zoom").parentElement.hidden = !has("keypoints");
  element("transport").hidden = !data.live && clip.numbers.length < 2;
  const warnings = [...new Set(clip.people.flatMap((person) => person.warnings))];
  element("notes").hidden = !warnings.length;
  element("warnings").replaceChildren(...warnings.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  makeTable();
  for (const input of document.querySelectorAll("[id^=show-]")) {
    const read = () => (state.show[input.id.slice(5)] = input.checked);
    read();
    input.addEventListener("change", () => (read(), input.id === "show-place" && place(), draw()));
  }
}

function makeTable() {
  const cell = (kind, text, classes = "", scope = null) => {
    const made = Object.assign(document.createElement(kind), { textContent: text, className: classes });
    if (scope) made.scope = scope;
    return made;
  };
  const head = document.createElement("tr");
  head.append(cell("th", "Joint", "", "col"));
  for (const person of clip.people) head.append(cell("th", clip.people.length > 1 ? person.name : "Longest semi-axis", "number", "col"));
  head.append(cell("th", "Keypoint", "", "col"));
  element("heads").replaceChildren(head);
  element("rows").replaceChildren(
    ...data.joints.map((name, joint) => {
      const row = document.createElement("tr");
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: !state.hidden.has(joint) });
      box.addEventListener("change", () => (box.checked ? state.hidden.delete(joint) : state.hidden.add(joint), draw()));
      label.append(box, name);
      const first = cell("th", "", "", "row");
      first.append(label);
      row.append(first, ...clip.people.map(() => cell("td", "", "number")), cell("td", ""));
      return row;
    }),
  );
}

function fillTable() {
  filled = performance.now();
  const scale = 1000 * data.axes[state.level];
  element("table-caption").textContent = `Longest semi-axes of the ${Math.round(100 * data.levels[state.level])} % ellipsoids at this frame, mm`;
  const frames = clip.people.map((person) => person.frames.get(state.index));
  [...element("rows").children].forEach((row, joint) => {
    frames.forEach((frame, n) => (row.children[n + 1].textContent = frame && joint ? Math.round(scale * Clip.longest(frame, joint)) : "–"));
    const flag = frames.find(Boolean)?.flagged?.[joint] ?? 0;
    row.lastChild.textContent = data.flags[Math.round(flag)];
  });
}

function legend() {
  const dot = (colour, text) => `<i style="background:${colour}"></i>${text}`;
  const sides = dot(data.colours.left, "left") + dot(data.colours.right, "right");
  const truth = clip.people.some((person) => person.hasTruth) ? dot(css("--truth"), "truth") : "";
  const scale = `<b style="background:${gradient()}"></b><em><span>0</span><span>${Math.round(1000 * state.most)} mm</span></em>`;
  element("legend").innerHTML = (state.colour === "side" ? sides : scale) + truth;
}

function draw() {
  if (!scene) return;
  scene.update(state.index, state);
  scene.render();
  if (!element("image").hidden) picture.draw(clip, state.index, state);
  const seconds = clip.seconds?.[state.index];
  element("frame").textContent = `${clip.numbers[state.index] ?? ""}${seconds == null ? "" : `, ${seconds.toFixed(2)} s`}`;
  element("time").value = state.index;
  element("time").setAttribute("aria-valuetext", `frame ${element("frame").textContent}`);
  const counts = clip.people.map((person) => `${Math.min(state.samples, person.count)} of ${person.drawn}`);
  element("count").textContent = `${[...new Set(counts)].join(" and ")} drawn`;
  const kinds = clip.people.map((person) => person.ellipsesOf).filter(Boolean);
  const isMixed = new Set(kinds).size > 1 && data.views?.length > 1;
  const ellipses = isMixed ? `${kinds[0]}, dashed: of the ${kinds[1]}` : [...new Set(kinds)].join(" or ");
  element("caption").textContent = `2D keypoints${ellipses ? `; ellipses: ${Math.round(100 * data.levels[state.level])} % of the ${ellipses}` : ""}`;
  if (!state.playing || performance.now() - filled > 200) fillTable();
  scene.canvas.dataset.frame = state.index;
}

function place(view = "camera") {
  scene.arrange(state);
  scene.setView(view);
}

function show(index) {
  state.index = Math.min(Math.max(index, Number(element("time").min)), clip.numbers.length - 1);
  draw();
}

function setPlaying(playing) {
  state.playing = playing;
  element("play").textContent = playing ? "Pause" : "Play";
  started = null;
  if (playing) requestAnimationFrame(tick);
  else draw();
}

const timeOf = (index) => clip.seconds?.[index] ?? index / 25;

function tick(now) {
  if (!state.playing) return;
  requestAnimationFrame(tick);
  const last = clip.numbers.length - 1;
  if (data.live) {
    if (state.index !== last) show(last);
  } else {
    if (!started) started = { now, from: state.index >= last ? 0 : state.index };
    const time = timeOf(started.from) + ((now - started.now) / 1000) * state.speed;
    let index = started.from;
    while (index < last && timeOf(index + 1) <= time) index++;
    if (index >= last && time > timeOf(last) + 0.3) started = null; // again from the start
    else if (index !== state.index) show(index);
    if (!started) started = { now, from: 0 };
  }
}

function listen() {
  const on = (id, kind, act) => element(id).addEventListener(kind, act);
  on("theme", "change", () => (theme(), draw()));
  dark.addEventListener("change", () => (theme(), draw()));
  on("play", "click", () => setPlaying(!state.playing));
  on("time", "input", (event) => {
    const index = Number(event.target.value); // which setPlaying resets
    setPlaying(false);
    show(index);
  });
  on("speed", "change", (event) => ((state.speed = Number(event.target.value)), (started = null)));
  on("samples", "input", (event) => ((state.samples = Number(event.target.value)), draw()));
  on("level", "change", (event) => ((state.level = Number(event.target.value)), (state.most = largest()), legend(), draw()));
  on("colour", "change", (event) => ((state.colour = event.target.value), legend(), draw()));
  for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => (scene.setView(button.dataset.view), draw()));
  on("scene", "keydown", (event) => {
    const step = (by) => () => (setPlaying(false), show(state.index + by));
    const acts = { " ": () => setPlaying(!state.playing), ",": step(-1), ".": step(1) };
    if (acts[event.key]) (event.preventDefault(), acts[event.key]());
  });
  scene.orbit.addEventListener("change", () => scene.render());
  new ResizeObserver(() => draw()).observe(element("stage"));
}

// A live stream: one message per frame from the server that sent the page.
function follow() {
  const source = new EventSource("stream");
  let last = Promise.resolve();
  source.addEventListener("message", (event) => {
    last = last.then(async () => {
      const isFirst = !clip.people.length;
      await clip.push(JSON.parse(event.data), KEPT);
      if (isFirst) start();
      element("time").max = clip.numbers.length - 1;
      element("time").min = Math.max(0, clip.numbers.length - KEPT);
      if (state.index < Number(element("time").min)) show(state.index); // that frame is no longer kept
    });
    last.catch((error) => (source.close(), fail(error)));
  });
  source.addEventListener("open", () => (element("title").textContent = data.title));
  source.addEventListener("end", () => (source.close(), setPlaying(false), (element("title").textContent = `${data.title} (ended)`)));
  source.addEventListener("error", () => (element("title").textContent = `${data.title} (not connected)`));
}

function start() {
  makeControls();
  state.most = largest();
  scene = new Scene(element("scene"), clip, Math.max(1, ...clip.people.map((person) => person.count)));
  picture = new Picture(element("picture"), data);
  element("time").max = clip.numbers.length - 1;
  element("names").replaceChildren(...(clip.people.length > 1 && scene.views.length > 1 ? clip.people : []).map((person) => Object.assign(document.createElement("span"), { textContent: person.name })));
  theme();
  place();
  listen();
  legend();
  draw();
  if (data.live) setPlaying(true);
  document.documentElement.dataset.ready = "yes";
}

function fail(error) {
  element("failure").hidden = false;
  element("failure").textContent = `This browser cannot show the page: ${error.message ?? error}. It needs WebGL 2, and DecompressionStream (2023 or newer).`;
  throw error;
}

document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
if (data.live) {
  element("title").textContent = `${data.title} (waiting for the first frame)`;
  follow();
} else clip.load().then(start).catch(fail);
