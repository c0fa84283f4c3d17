// uPlot with the page's look: one small chart per element, one ink, the band from lowest to highest behind the
// average. Loaded when the first chart is wanted. Colours come from CSS variables, so a change of theme redraws.
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { number } from '../lib/format';

/** Columns for one chart; times in epoch milliseconds. low and high are null where single values are shown. */
export interface Curve {
  t: number[];
  v: (number | null)[];
  low: (number | null)[] | null;
  high: (number | null)[] | null;
}
export interface Gap { from: number; to: number }
export interface Line { at: number; colour: string }
export interface Options {
  width: number;
  height: number;
  zone: string;
  axis: boolean;
  group: string;
  gaps: () => readonly Gap[];
  /** Moments to mark, such as when an alarm was raised. */
  moments: () => readonly Line[];
  /** Values to mark, such as a limit. */
  limits: () => readonly Line[];
  zoom: (from: number, to: number) => void;
  reset: () => void;
  cursor: (index: number | null) => void;
}

const css = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function paint(u: uPlot, options: Options) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.fillStyle = css('--sunk');
  ctx.strokeStyle = css('--line-strong');
  ctx.lineWidth = ratio;
  for (const gap of options.gaps()) {
    const x0 = u.valToPos(gap.from, 'x', true), x1 = u.valToPos(gap.to, 'x', true);
    if (x1 < bbox.left || x0 > bbox.left + bbox.width) continue;
    ctx.fillRect(x0, bbox.top, x1 - x0, bbox.height);
    ctx.save();
    ctx.beginPath();
    ctx.rect(x0, bbox.top, x1 - x0, bbox.height);
    ctx.clip();
    ctx.globalAlpha = 0.5;
    ctx.beginPath();
    for (let x = x0 - bbox.height; x < x1; x += 8 * ratio) { ctx.moveTo(x, bbox.top + bbox.height); ctx.lineTo(x + bbox.height, bbox.top); }
    ctx.stroke();
    ctx.restore();
  }
  ctx.restore();
}

function mark(u: uPlot, options: Options) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.lineWidth = 1.5 * ratio;
  for (const line of options.limits()) {
    const y = Math.round(u.valToPos(line.at, 'y', true));
    ctx.strokeStyle = css(line.colour);
    ctx.setLineDash([6 * ratio, 4 * ratio]);
    ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
  }
  ctx.setLineDash([]);
  for (const line of options.moments()) {
    const x = Math.round(u.valToPos(line.at, 'x', true));
    ctx.strokeStyle = css(line.colour);
    ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
  }
  ctx.restore();
}

/** Room above and below the curve; a flat curve gets 2 % of its value, so that noise is not blown up. */
function span(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const least = Math.max(Math.abs(high), Math.abs(low), 1e-6) * 0.02;
  const room = Math.max((high - low) * 0.12, (least - (high - low)) / 2, 0);
  return [low - room, high + room];
}

/** The fewest decimals that tell the ticks of an axis apart: 0.25 needs two. */
function decimals_of(step: number): number {
  let decimals = 0;
  while (decimals < 6 && Math.abs(step * 10 ** decimals - Math.round(step * 10 ** decimals)) > 1e-6) decimals++;
  return decimals;
}

export function chart(target: HTMLElement, data: Curve, range: { from: number; to: number }, options: Options) {
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const columns = (c: Curve): uPlot.AlignedData => (c.low && c.high ? [c.t, c.v, c.low, c.high] : [c.t, c.v]);
  const banded = Boolean(data.low);
  let shown = range;
  const ink = () => css('--ink');
  const quiet = () => css('--quiet');
  const config: uPlot.Options = {
    width: options.width, height: options.height, ms: 1, tzDate: (ms) => uPlot.tzDate(new Date(ms), options.zone),
    padding: [6, 12, options.axis ? 0 : 6, 0],
    legend: { show: false },
    cursor: {
      sync: { key: options.group, scales: ['x', null] }, y: false, points: { show: (_, i) => (i === 1 ? Object.assign(document.createElement('div'), { className: 'cursor-point' }) : (undefined as never)) },
      drag: { x: true, y: false, setScale: false, dist: 6 }, bind: { dblclick: () => () => { options.reset(); return null; } },
    },
    scales: { x: { time: true, range: () => [shown.from, shown.to] }, y: { range: (_, low, high) => {
      let [a, b] = span(low, high);
      // A limit that is near is shown; one that is far would flatten the curve.
      for (const line of options.limits()) if (line.at > a - (b - a) * 0.8 && line.at < b + (b - a) * 0.8) { a = Math.min(a, line.at - (b - a) * 0.06); b = Math.max(b, line.at + (b - a) * 0.06); }
      return [a, b];
    } } },
    axes: [
      { show: options.axis, stroke: quiet, font, size: 38, gap: 4, grid: { show: true, stroke: () => css('--line'), width: 1 }, ticks: { show: false },
        values: [[86400e3 * 365, '{YYYY}', null, null, null, null, null, null, 1], [86400e3 * 28, '{MMM}', '\n{YYYY}', null, null, null, null, null, 1], [86400e3, '{D} {MMM}', null, null, null, null, null, null, 1], [60e3, '{HH}:{mm}', '\n{D} {MMM}', null, null, null, null, null, 1], [1e3, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1], [1, ':{ss}.{fff}', null, null, null, null, null, null, 1]], space: 84 },
      { stroke: quiet, font, size: 56, gap: 6, grid: { stroke: () => css('--line'), width: 1 }, ticks: { show: false }, space: 24,
        values: (_, splits, __, ___, step) => splits.map((v) => number(v, decimals_of(step))) },
    ],
    series: [{}, { stroke: ink, width: 1.5, spanGaps: false, points: { show: (u, _i, first, last) => last - first < 40 && u.width > 200, size: 4, fill: ink } },
      ...(banded ? [{ stroke: 'transparent', width: 0, points: { show: false }, spanGaps: false }, { stroke: 'transparent', width: 0, points: { show: false }, spanGaps: false }] : [])],
    bands: banded ? [{ series: [3, 2], fill: () => css('--ink-wash') }] : [],
    hooks: {
      drawClear: [(u) => paint(u, options)],
      draw: [(u) => mark(u, options)],
      setSelect: [(u) => {
        if (u.select.width < 6) return;
        const from = u.posToVal(u.select.left, 'x'), to = u.posToVal(u.select.left + u.select.width, 'x');
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        options.zoom(from, to);
      }],
      setCursor: [(u) => options.cursor(u.cursor.idx ?? null)],
    },
  };
  const u = new uPlot(config, columns(data), target);
  return {
    /** New data or a moved window. The shape (band or not) must be the same as at the start. */
    update(next: Curve, window: { from: number; to: number }) {
      shown = window;
      u.setData(columns(next), true);
    },
    resize(width: number, height: number) { u.setSize({ width, height }); },
    redraw() { u.redraw(false, true); },
    move(step: number) {
      const length = u.data[0].length;
      if (!length) return;
      const at = Math.max(0, Math.min(length - 1, (u.cursor.idx ?? (step > 0 ? -1 : length)) + step));
      u.setCursor({ left: u.valToPos(u.data[0][at]!, 'x'), top: 0 }, true);
    },
    destroy() { u.destroy(); },
  };
}
export type Chart = ReturnType<typeof chart>;
