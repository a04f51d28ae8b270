// The newest detections of each camera, from the event stream, drawn over its picture.
const newest = new Map();
const listeners = new Set();
let source = null;

export function listen(onLink) {
  stop();
  source = new EventSource('/api/v1/events');
  source.onopen = () => onLink('');
  source.onerror = () => onLink('connection lost; trying again');
  source.addEventListener('detections', (event) => {
    const result = JSON.parse(event.data);
    newest.set(result.camera, result);
    for (const listener of listeners) listener(result.camera);
  });
  source.addEventListener('state', (event) => {
    const change = JSON.parse(event.data);
    if (change.state === 'removed') newest.delete(change.camera);
  });
}

export function stop() {
  source?.close();
  source = null;
  newest.clear();
}

export function onDetections(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function draw(canvas, camera) {
  const result = newest.get(camera);
  if (!result || !result.width) return;
  if (canvas.width !== result.width || canvas.height !== result.height) {
    canvas.width = result.width;
    canvas.height = result.height;
  }
  const pen = canvas.getContext('2d');
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const unit = Math.max(1, result.width / Math.max(canvas.clientWidth, 1));
  pen.lineWidth = 2 * unit;
  pen.font = `${13 * unit}px system-ui, sans-serif`;
  pen.textBaseline = 'bottom';
  for (const detection of result.detections) {
    const [x1, y1, x2, y2] = detection.box;
    const colour = `hsl(${(detection.class_id * 137 + 140) % 360} 90% 60%)`;
    pen.strokeStyle = colour;
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    const label = `${detection.class} ${Math.round(detection.confidence * 100)}`;
    const height = 16 * unit;
    const top = Math.max(height, y1);
    pen.fillStyle = colour;
    pen.fillRect(x1 - unit, top - height, pen.measureText(label).width + 6 * unit, height);
    pen.fillStyle = '#000';
    pen.fillText(label, x1 + 2 * unit, top - unit);
  }
}
