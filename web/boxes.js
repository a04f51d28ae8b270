// Detections from the event stream: the newest few of each camera, so that a picture gets the boxes of its own frame,
// and what happened in each second of the last minutes, for the charts.
const kFrames = 40;
const kSeconds = 300;
const cameras = new Map();
const listeners = new Set();
let source = null;

function entry(id) {
  if (!cameras.has(id)) cameras.set(id, {frames: [], seconds: []});
  return cameras.get(id);
}

function remember(result) {
  const {frames, seconds} = entry(result.camera);
  frames.push(result);
  if (frames.length > kFrames) frames.shift();
  const now = Math.floor(Date.now() / 1000);
  if (seconds.at(-1)?.at !== now) {
    seconds.push({at: now, results: 0, late: 0, totals: [], queue: 0, work: 0});
    while (seconds.length > 0 && seconds[0].at < now - kSeconds) seconds.shift();
  }
  const second = seconds.at(-1);
  const took = result.latency_ms;
  second.results += 1;
  second.late += result.late ? 1 : 0;
  second.totals.push(took.total);
  second.queue += took.queue;
  second.work += took.preprocess + took.inference + took.postprocess;
}

/// @param onLink told whether the stream is there
export function listen(onLink) {
  stop();
  source = new EventSource('/api/v1/events');
  source.onopen = () => onLink(true);
  source.onerror = () => onLink(false);
  source.addEventListener('detections', (event) => {
    const result = JSON.parse(event.data);
    remember(result);
    for (const listener of listeners) listener(result.camera);
  });
  source.addEventListener('state', (event) => {
    const change = JSON.parse(event.data);
    if (change.state === 'removed') cameras.delete(change.camera);
  });
}

export function stop() {
  source?.close();
  source = null;
  cameras.clear();
}

export function onDetections(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/// The result of frame `seq` of a camera, or the newest one where that is not here.
export function resultOf(camera, seq) {
  const frames = cameras.get(camera)?.frames ?? [];
  return frames.findLast((frame) => frame.seq === seq) ?? frames.at(-1) ?? null;
}

/// One entry a second of the last `count`: results, late ones, median and longest latency, mean wait and work in ms.
/// Seconds without a result are there, with null latencies.
export function secondsOf(camera, count = kSeconds) {
  const kept = new Map((cameras.get(camera)?.seconds ?? []).map((second) => [second.at, second]));
  const last = Math.floor(Date.now() / 1000) - 1;  // this second is not over
  const out = [];
  for (let at = last - count + 1; at <= last; ++at) {
    const second = kept.get(at);
    if (!second) {
      out.push({at: at - last, results: 0, late: 0, median: null, longest: null, queue: null, work: null});
      continue;
    }
    const sorted = [...second.totals].sort((a, b) => a - b);
    out.push({
      at: at - last, results: second.results, late: second.late,
      median: sorted[Math.floor(sorted.length / 2)], longest: sorted.at(-1),
      queue: second.queue / second.results, work: second.work / second.results,
    });
  }
  return out;
}

/// "3 car, 1 bus" of the newest result.
export function countsOf(camera) {
  const counts = new Map();
  for (const {class: name} of resultOf(camera)?.detections ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${count} ${name}`).join(', ');
}

const colour = (id) => `hsl(${(id * 137 + 140) % 360} 90% 62%)`;

export function draw(canvas, result) {
  const pen = canvas.getContext('2d');
  if (!result?.width) return pen.clearRect(0, 0, canvas.width, canvas.height);
  if (canvas.width !== result.width || canvas.height !== result.height) {
    canvas.width = result.width;
    canvas.height = result.height;
  }
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const unit = Math.max(1, result.width / Math.max(canvas.clientWidth, 1));
  // On a small picture labels of distant cars would hide the cars.
  const least = canvas.clientWidth >= 700 ? 0 : 40 * unit;
  pen.lineWidth = (least === 0 ? 2 : 1.5) * unit;
  pen.font = `600 ${12 * unit}px system-ui, sans-serif`;
  pen.textBaseline = 'middle';
  for (const detection of result.detections) {
    const [x1, y1, x2, y2] = detection.box;
    pen.strokeStyle = colour(detection.class_id);
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    if (x2 - x1 < least) continue;
    const label = `${detection.class} ${Math.round(detection.confidence * 100)}`;
    const height = 16 * unit;
    const top = Math.max(height, y1);
    pen.fillStyle = pen.strokeStyle;
    pen.fillRect(x1 - unit, top - height, pen.measureText(label).width + 8 * unit, height);
    pen.fillStyle = '#10151a';
    pen.fillText(label, x1 + 3 * unit, top - height / 2);
  }
}
