import type { Rule } from './api';
import { duration, plain, unit_symbol, words } from './format';
import { t } from './texts';

interface Named { key: string; display_name: string; unit: string }

/** A rule's condition in words: "Discharge temperature > 95 °C for 10 s". Elements may be unknown: then their key is said in words. */
export function rule_words(rule: Pick<Rule, 'kind' | 'element' | 'comparison' | 'limit' | 'on_delay_s'>, elements: readonly Named[] = []): string {
  const element = elements.find((e) => e.key === rule.element);
  const name = element?.display_name ?? (rule.element ? words(rule.element) : t.rules.any_element);
  if (rule.kind === 'stale') return t.rules.says.stale(name, duration(rule.limit * 1000));
  const limit = `${plain(rule.limit)} ${unit_symbol(element?.unit)}`.trim();
  const said = t.rules.says[rule.kind](name, rule.comparison === '>', limit);
  return rule.on_delay_s > 0 ? `${said} ${t.rules.says.for(duration(rule.on_delay_s * 1000))}` : said;
}
