import type { AlarmCounts, Priority } from './api';

/** Worst first. */
export const priorities: readonly Priority[] = ['critical', 'high', 'medium', 'low'];

/** 0 is the worst; nothing open sorts last. */
export function rank(priority: Priority | null | undefined): number {
  const at = priority ? priorities.indexOf(priority) : -1;
  return at < 0 ? priorities.length : at;
}

export function open_count(counts: AlarmCounts): number {
  return counts.critical + counts.high + counts.medium + counts.low;
}
