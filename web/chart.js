// Charts by Chart.js, which is fetched when the first one is shown.
import {el, number} from './dom.js';

let library = null;

function load() {
  library ??= new Promise((resolve, reject) => {
    const script = el('script', {src: 'chart.min.js'});
    script.onload = () => resolve(window.Chart);
    script.onerror = () => reject(new Error('chart.min.js can\'t be loaded'));
    document.head.append(script);
  });
  return library;
}

/// A colour of the style sheet as a canvas takes it; `share` of it is opaque.
function colour(name, share = 1) {
  const probe = el('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g);
  probe.remove();
  return `rgba(${red}, ${green}, ${blue}, ${share})`;
}
const charts = new Set();

function paint(chart) {
  const {options} = chart;
  for (const set of chart.data.datasets) {
    set.borderColor = colour(set.token);
    set.backgroundColor = colour(set.token, set.fill ? 0.2 : 1);
  }
  options.plugins.legend.labels.color = colour('--soft');
  for (const scale of Object.values(options.scales)) {
    scale.grid.color = scale.grid.borderColor = colour('--line');
    scale.ticks.color = colour('--soft');
  }
  chart.update('none');
}

/// After the colours of the page have changed.
export function repaint() {
  for (const chart of charts) paint(chart);
}

const clock = (seconds) => {
  if (seconds === 0) return 'now';
  const minutes = Math.abs(seconds) / 60;
  return `${seconds < 0 ? '−' : '+'}${Number.isInteger(minutes) ? `${minutes} min` : `${Math.abs(seconds)} s`}`;
};

/// @param lines [{name, token, dashed, fill}]: token is the CSS variable with its colour
/// @param unit as it stands behind numbers, " ms"
export function timeChart({title, lines, unit = '', from = -300, to = 0, stacked = false, step = 60, wide = false}) {
  const canvas = el('canvas', {role: 'img', 'aria-label': title});
  const node = el('figure', {class: wide ? 'chart wide' : 'chart'}, el('figcaption', {}, title), el('div', {class: 'plot'}, canvas));
  let chart = null;
  let ended = false;
  let latest = null;

  load().then((Chart) => {
    if (ended) return;
    chart = new Chart(canvas, {
      type: 'line',
      data: {datasets: lines.map((line) => ({
        label: line.name, token: line.token, data: [], borderWidth: 1.75, pointRadius: 0, pointHitRadius: 8, tension: 0.25,
        spanGaps: false, borderDash: line.dashed ? [5, 4] : [], fill: line.fill ? (stacked ? 'stack' : 'origin') : false,
      }))},
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: true,
        interaction: {mode: 'index', intersect: false, axis: 'x'},
        plugins: {
          legend: {display: lines.length > 1, position: 'bottom', align: 'start',
            labels: {boxWidth: 12, boxHeight: 2, font: {size: 11}}},
          tooltip: {callbacks: {
            title: (items) => clock(Math.round(items[0]?.parsed.x ?? 0)),
            label: (item) => `${item.dataset.label}: ${number(item.parsed.y, 1)}${unit}`,
          }},
        },
        scales: {
          x: {type: 'linear', min: from, max: to, grid: {display: false}, ticks: {stepSize: step, maxRotation: 0, autoSkipPadding: 16, font: {size: 11}, callback: clock}},
          y: {beginAtZero: true, stacked, grid: {}, ticks: {maxTicksLimit: 5, font: {size: 11}, callback: (value) => `${number(value, value < 10 && !Number.isInteger(value) ? 1 : 0)}${unit}`}},
        },
      },
    });
    charts.add(chart);
    paint(chart);
    if (latest) show(latest);
  }).catch((error) => node.append(el('p', {class: 'error'}, error.message)));

  /// @param series one list of [seconds from now, value or null] a line
  function show(series) {
    latest = series;
    if (!chart) return;
    series.forEach((points, i) => {
      chart.data.datasets[i].data = points.map(([x, y]) => ({x, y: y ?? NaN}));
    });
    chart.update('none');
  }

  return {
    node, show,
    end() {
      ended = true;
      if (chart) {
        charts.delete(chart);
        chart.destroy();
      }
    },
  };
}
