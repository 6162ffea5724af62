// What all charts of the page share: Plotly when it is needed, thinned lines, the range of values, one look.
const MOST_DRAWN_POINTS = 1000;
// The least height of a value axis, as a share of its values: noise does not look like a crash.
const LEAST_SPAN = 0.25;
// Training points beyond these quantiles do not stretch the value axis.
const QUANTILES = [0.02, 0.98];

const loadScript = (address) => new Promise((loaded, failed) => {
  const script = document.createElement('script');
  script.src = address;
  script.onload = loaded;
  script.onerror = failed;
  document.head.appendChild(script);
});
const loadPlotly = async (address) => {
  if (window.Plotly) return;
  window.studioPlotly ||= loadScript(address);
  try {
    await window.studioPlotly;
  } catch (error) {
    window.studioPlotly = null;
    throw error;
  }
};
const colour = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
const make = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text != null) made.textContent = text;
  return made;
};

// Of each stretch of points its lowest and its highest, so that thinning hides no jump; the first and the last always.
const thin = (x, y) => {
  if (x.length <= MOST_DRAWN_POINTS) return { x: [...x], y: [...y] };
  const size = Math.ceil((2 * x.length) / MOST_DRAWN_POINTS);
  const places = new Set([0, x.length - 1]);
  for (let start = 0; start < x.length; start += size) {
    let [lowest, highest] = [start, start];
    for (let place = start; place < Math.min(start + size, x.length); place += 1) {
      if (y[place] < y[lowest]) lowest = place;
      if (y[place] > y[highest]) highest = place;
    }
    places.add(lowest);
    places.add(highest);
  }
  const sorted = [...places].sort((a, b) => a - b);
  return { x: sorted.map((place) => x[place]), y: sorted.map((place) => y[place]) };
};

const quantile = (sorted, share) => sorted[Math.round(share * (sorted.length - 1))];
const bounds = (curve) => {
  const sorted = [...curve.y].sort((a, b) => a - b);
  return curve.check ? [sorted[0], sorted[sorted.length - 1]] : QUANTILES.map((share) => quantile(sorted, share));
};
const valueRange = (chart) => {
  if (chart.isShare) return [0, 1.04];
  const ends = chart.curves.filter((curve) => curve.y.length).flatMap(bounds);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const span = Math.max(high - low, LEAST_SPAN * Math.max(Math.abs(low), Math.abs(high)), 1e-6);
  const middle = (low + high) / 2;
  const bottom = middle - 0.58 * span;
  const lowest = low >= 0 ? Math.max(bottom, -0.03 * span) : bottom;
  return [lowest, middle + 0.58 * span];
};
// What all charts look like; `fontFamily` is that of the text around them.
const baseLayout = (fontFamily) => ({
  template: 'none',
  paper_bgcolor: 'rgba(0,0,0,0)',
  plot_bgcolor: 'rgba(0,0,0,0)',
  font: { family: fontFamily, size: 13, color: colour('--body-text-color') },
  hovermode: 'x unified',
  hoverlabel: { bgcolor: colour('--background-fill-secondary'), font: { color: colour('--body-text-color') } },
  legend: { orientation: 'h', x: 0, y: 1.02, yanchor: 'bottom' },
});
const axisLook = () => ({ gridcolor: colour('--border-color-primary'), zeroline: false });
