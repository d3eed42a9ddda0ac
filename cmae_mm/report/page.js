'use strict';
// Without this script the page shows everything at once; with it, the time-lapse moves
// and the plots answer to pointer and keyboard.

const SVG = 'http://www.w3.org/2000/svg';

function timeLapse(lapse) {
  const controls = lapse.querySelector('.controls');
  const slider = controls.querySelector('input');
  const button = controls.querySelector('button');
  const output = controls.querySelector('output');
  const steps = JSON.parse(slider.dataset.steps);
  const rows = [...lapse.querySelectorAll('.sequence')].map(row => [...row.children]);
  let timer = null;

  function show() {
    const step = steps[slider.value];
    output.textContent = 'step ' + step.toLocaleString('en');
    slider.setAttribute('aria-valuetext', output.textContent);
    for (const frames of rows) {
      // Not every row has a picture of every step: the last one before it.
      let current = frames[0];
      for (const frame of frames) if (Number(frame.dataset.step) <= step) current = frame;
      for (const frame of frames) frame.classList.toggle('current', frame === current);
    }
  }
  function pause() {
    clearInterval(timer);
    timer = null;
    button.textContent = 'Play';
    button.setAttribute('aria-label', 'Play the time-lapse');
  }
  function play() {
    if (Number(slider.value) >= steps.length - 1) slider.value = 0;
    show();
    button.textContent = 'Pause';
    button.setAttribute('aria-label', 'Pause the time-lapse');
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) >= steps.length - 1) pause();
    }, 500);
  }
  button.addEventListener('click', () => (timer ? pause() : play()));
  slider.addEventListener('input', () => { pause(); show(); });
  lapse.classList.add('moving');
  controls.hidden = false;
  show();
}

function shorten(value) {
  return Number(value.toPrecision(4)).toLocaleString('en', { maximumSignificantDigits: 4 });
}

function nearest(values, wanted) {
  let best = 0;
  values.forEach((value, i) => {
    if (Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = i;
  });
  return best;
}

// Where a pointer is, in the units of the drawing.
function inside(svg, event) {
  const box = svg.getBoundingClientRect();
  const view = svg.viewBox.baseVal;
  return [
    (event.clientX - box.left) / box.width * view.width,
    (event.clientY - box.top) / box.height * view.height,
  ];
}

function curve(svg) {
  const lines = JSON.parse(svg.dataset.lines).filter(line => line.x.length);
  const frame = JSON.parse(svg.dataset.frame);
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  tip.setAttribute('aria-live', 'polite');
  svg.parentNode.append(tip);
  const ruler = document.createElementNS(SVG, 'line');
  ruler.setAttribute('class', 'ruler');
  ruler.setAttribute('y1', frame.py[0]);
  ruler.setAttribute('y2', frame.py[1]);
  const longest = lines.reduce((a, b) => (b.x.length > a.x.length ? b : a));
  let at = longest.x.length - 1;
  const scale = (span, pixels, value) =>
    pixels[0] + (value - span[0]) / (span[1] - span[0]) * (pixels[1] - pixels[0]);

  function show(index) {
    at = Math.min(Math.max(index, 0), longest.x.length - 1);
    const x = longest.x[at];
    const left = scale(frame.x, frame.px, x);
    ruler.setAttribute('x1', left);
    ruler.setAttribute('x2', left);
    svg.append(ruler);
    const words = lines.map(line => {
      const value = shorten(line.y[nearest(line.x, x)]);
      return line.name ? line.name + ' ' + value : value;
    });
    tip.replaceChildren();
    [svg.dataset.unit + ' ' + x.toLocaleString('en'), ...words].forEach(word => {
      const row = document.createElement('div');
      row.textContent = word;
      tip.append(row);
    });
    tip.hidden = false;
    const share = left / svg.viewBox.baseVal.width;
    const room = svg.parentNode.clientWidth - tip.offsetWidth - 8;
    const wanted = svg.offsetLeft || 8;
    const place = share * svg.clientWidth + wanted + (share > 0.5 ? -tip.offsetWidth - 10 : 12);
    tip.style.left = Math.min(Math.max(place, 4), Math.max(room, 4)) + 'px';
    tip.style.top = svg.parentNode.querySelector('figcaption').offsetHeight + 14 + 'px';
  }
  function hide() {
    tip.hidden = true;
    ruler.remove();
  }
  svg.addEventListener('pointermove', event => {
    const [left] = inside(svg, event);
    const share = (left - frame.px[0]) / (frame.px[1] - frame.px[0]);
    show(nearest(longest.x, frame.x[0] + share * (frame.x[1] - frame.x[0])));
  });
  svg.addEventListener('pointerleave', hide);
  svg.addEventListener('focus', () => { if (svg.matches(':focus-visible')) show(at); });
  svg.addEventListener('blur', hide);
  svg.addEventListener('keydown', event => {
    const to = {
      ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: longest.x.length - 1,
    }[event.key];
    if (event.key === 'Escape') hide();
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });
}

function embedding(field) {
  const svg = field.querySelector('.scatter');
  const points = [...svg.querySelectorAll('circle')];
  const look = field.querySelector('.look');
  const crop = look.querySelector('svg');
  const words = look.querySelector('p');
  const [side, columns] = [Number(look.dataset.side), Number(look.dataset.columns)];
  // Along the x axis, so that the arrow keys have an order.
  const order = points.map((_, i) => i).sort(
    (a, b) => points[a].cx.baseVal.value - points[b].cx.baseVal.value);
  let at = 0;

  function show(i) {
    points.forEach((point, j) => point.classList.toggle('touched', j === i));
    const number = Number(points[i].dataset.i);
    crop.setAttribute('viewBox',
      [number % columns * side, Math.floor(number / columns) * side, side, side].join(' '));
    crop.removeAttribute('hidden');
    words.textContent = points[i].querySelector('title').textContent;
    at = order.indexOf(i);
  }
  show(order[0]);
  svg.addEventListener('pointermove', event => {
    const [x, y] = inside(svg, event);
    const far = points.map(point =>
      (point.cx.baseVal.value - x) ** 2 + (point.cy.baseVal.value - y) ** 2);
    show(far.indexOf(Math.min(...far)));
  });
  svg.addEventListener('focus', () => { if (svg.matches(':focus-visible')) show(order[at]); });
  svg.addEventListener('keydown', event => {
    const to = {
      ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1,
      Home: 0, End: order.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(order[Math.min(Math.max(to, 0), order.length - 1)]);
  });
}

document.querySelectorAll('.lapse').forEach(timeLapse);
document.querySelectorAll('.plot').forEach(curve);
document.querySelectorAll('.embedding').forEach(embedding);
