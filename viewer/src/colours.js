// Viridis, a colour map that is also read without red, green or blue cones, and in grey (van der Walt & Smith, 2015).
const STOPS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const RGB = STOPS.map((stop) => [1, 3, 5].map((i) => parseInt(stop.slice(i, i + 2), 16)));

export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The part of the map that stands out from the page's background, at a share of the scale from 0 to 1.
export function colourAt(share) {
  const [from, to] = [Number(css("--scale-from")), Number(css("--scale-to"))];
  const place = (from + (to - from) * Math.min(Math.max(share, 0), 1)) * (RGB.length - 1);
  const i = Math.min(Math.floor(place), RGB.length - 2);
  return RGB[i].map((value, c) => Math.round(value + (place - i) * (RGB[i + 1][c] - value)));
}

export const gradient = () => `linear-gradient(to right, ${[0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => `rgb(${colourAt(share)})`).join(", ")})`;
