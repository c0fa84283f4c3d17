// From the server's columns to what a chart draws: holes where there are no data, one curve or a curve with its band.
import type { History, Series } from './api';
import type { Curve, Gap } from '../ui/trend';

const bucket_widths_s = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

/** How to ask for a picture of about `points` points: whole buckets with their lowest and highest, so that nothing hides
 *  between two points; where buckets would be finer than a second, the samples themselves, thinned. */
export function picture_of(from_ms: number, to_ms: number, points: number): { bucket: string; functions: string } | { points: number } {
  const wanted_s = (to_ms - from_ms) / 1000 / points;
  if (wanted_s < 0.5) return { points };
  return { bucket: `${bucket_widths_s.find((width) => width >= wanted_s * 0.999) ?? 86_400}s`, functions: 'avg,min,max,count' };
}

/** A hole is where the step is longer than five usual ones, or what the server calls a gap. */
export function curve_of(series: Series, bucket_s: number | null): Curve {
  const values = (series.avg ?? series.v ?? []) as (number | null)[];
  const banded = Boolean(series.avg && series.min && series.max);
  const result: Curve = { t: [], v: [], low: banded ? [] : null, high: banded ? [] : null };
  const step = usual_step(series.t, bucket_s);
  series.t.forEach((time, i) => {
    const before = series.t[i - 1];
    if (before !== undefined && time - before > step * 5) {
      result.t.push(before + step);
      result.v.push(null);
      result.low?.push(null);
      result.high?.push(null);
    }
    const value = values[i];
    result.t.push(time);
    result.v.push(typeof value === 'number' ? value : typeof value === 'boolean' ? Number(value) : null);
    result.low?.push(series.min?.[i] ?? null);
    result.high?.push(series.max?.[i] ?? null);
  });
  return result;
}

/** The bucket's width, else the median distance; milliseconds. */
export function usual_step(t: readonly number[], bucket_s: number | null): number {
  const steps = t.slice(1, 400).map((time, i) => time - t[i]!).sort((a, b) => a - b);
  const median = steps[steps.length >> 1] ?? 1000;
  return Math.max((bucket_s ?? 0) * 1000, median, 1);
}

export function gaps_of(history: History, element: string): Gap[] {
  return history.gaps.filter((gap) => gap.element === element).map((gap) => ({ from: Date.parse(gap.from), to: Date.parse(gap.to) }));
}

/** Puts a live value at the end; false when it is older than what is there already. */
export function extend(curve: Curve, time: number, value: number): boolean {
  const last = curve.t.at(-1);
  if (last !== undefined && time <= last) return false;
  curve.t.push(time);
  curve.v.push(value);
  curve.low?.push(value);
  curve.high?.push(value);
  return true;
}
