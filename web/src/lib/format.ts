// Numbers, units and times as people read them. Pure functions: the tests run them without a browser.
import type { Value } from './api';
import { t } from './texts';

/** DTDL v2/v3 unit names (semantic unit types) and their symbols; anything else is shown as it is. */
const symbols: Record<string, string> = {
  degreeCelsius: '°C', degreeFahrenheit: '°F', kelvin: 'K', bar: 'bar', pascal: 'Pa', kilopascal: 'kPa', millibar: 'mbar',
  poundPerSquareInch: 'psi', ampere: 'A', milliampere: 'mA', microampere: 'µA', volt: 'V', kilovolt: 'kV', millivolt: 'mV',
  watt: 'W', kilowatt: 'kW', megawatt: 'MW', horsepower: 'hp', kilowattHour: 'kWh', kilowattHourPerYear: 'kWh/a', joule: 'J', kilojoule: 'kJ',
  megajoule: 'MJ', hertz: 'Hz', kilohertz: 'kHz', megahertz: 'MHz', revolutionPerMinute: '1/min', revolutionPerSecond: '1/s',
  degreePerSecond: '°/s', radianPerSecond: 'rad/s', metre: 'm', millimetre: 'mm', centimetre: 'cm', kilometre: 'km', micrometre: 'µm', inch: 'in',
  foot: 'ft', mile: 'mi', metrePerSecond: 'm/s', millimetrePerSecond: 'mm/s', centimetrePerSecond: 'cm/s', kilometrePerHour: 'km/h',
  kilometrePerSecond: 'km/s', milePerHour: 'mph', metrePerSecondSquared: 'm/s²', gForce: 'g', centimetrePerSecondSquared: 'cm/s²',
  litre: 'l', millilitre: 'ml', cubicMetre: 'm³', cubicFoot: 'ft³', gallon: 'gal', litrePerSecond: 'l/s', litrePerHour: 'l/h',
  millilitrePerSecond: 'ml/s', millilitrePerHour: 'ml/h', cubicMetrePerHour: 'm³/h', cubicMetrePerMinute: 'm³/min', cubicMetrePerSecond: 'm³/s', kilogram: 'kg', gram: 'g',
  tonne: 't', pound: 'lb', kilogramPerHour: 'kg/h', kilogramPerCubicMetre: 'kg/m³', gramPerCubicMetre: 'g/m³', gramPerSecond: 'g/s', gramPerHour: 'g/h',
  newton: 'N', newtonMetre: 'N·m', percent: '%', unity: '', partsPerMillion: 'ppm', second: 's', millisecond: 'ms', microsecond: 'µs',
  minute: 'min', hour: 'h', day: 'd', year: 'a', decibel: 'dB', bel: 'B', lumen: 'lm', lux: 'lx', candela: 'cd', ohm: 'Ω', siemens: 'S', farad: 'F', henry: 'H',
  tesla: 'T', weber: 'Wb', coulomb: 'C', radian: 'rad', degreeOfArc: '°', square_metre: 'm²', squareMetre: 'm²', bit: 'bit', byte: 'B', kibibyte: 'KiB',
  mebibyte: 'MiB', gibibyte: 'GiB', bytePerSecond: 'B/s', bitPerSecond: 'bit/s',
};

export function unit_symbol(unit: string | undefined | null): string {
  if (!unit) return '';
  // A rate: the element's unit, per second.
  if (unit.endsWith('/s') && symbols[unit.slice(0, -2)] !== undefined) return `${symbols[unit.slice(0, -2)]}/s`;
  return symbols[unit] ?? unit;
}

/**
 * Decimals that suit a magnitude: four significant digits, at most three decimals. `scale` is the largest value that
 * stands in the same column or chart, so that figures below each other have equally many decimals.
 */
export function decimals_for(scale: number): number {
  const size = Math.abs(scale);
  if (!Number.isFinite(size) || size === 0) return 1;
  if (size >= 1000) return 0;
  if (size >= 100) return 1;
  if (size >= 1) return 2;
  return 3;
}

const number_formats = new Map<number, Intl.NumberFormat>();
/** Thin spaces between thousands, as ISO 80000-1 has it; a real minus sign. */
export function number(value: number, decimals = decimals_for(value)): string {
  if (!Number.isFinite(value)) return '–';
  let format = number_formats.get(decimals);
  if (!format) {
    format = new Intl.NumberFormat('en-GB', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    number_formats.set(decimals, format);
  }
  return format.format(value).replace(/,/g, '\u2009').replace('-', '\u2212');
}

/** A figure that a person set: as they set it, without trailing zeros. 95, 0.25. */
export function plain(value: number): string {
  let decimals = 0;
  while (decimals < 6 && Math.abs(value * 10 ** decimals - Math.round(value * 10 ** decimals)) > 1e-9 * 10 ** decimals) decimals++;
  return number(value, decimals);
}

export function whole(value: number): string { return number(Math.round(value), 0); }

/** A rate a second for the strip: 0.4, 12.5, 340, 105 k. */
export function rate(value: number): string {
  if (value >= 100_000) return number(value / 1000, 0) + '\u2009k';
  if (value >= 10_000) return number(value / 1000, 1) + '\u2009k';
  return number(value, value >= 100 || value === 0 ? 0 : 1);
}

export function value_text(value: Value | undefined, decimals?: number): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'number') return number(value, decimals ?? decimals_for(value));
  if (typeof value === 'boolean') return value ? t.words.on : t.words.off;
  if (typeof value === 'string') return value === '' ? '“”' : value;
  return JSON.stringify(value);
}

const formats = new Map<string, Intl.DateTimeFormat>();
function date_format(zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = zone + JSON.stringify(options);
  let format = formats.get(key);
  if (!format) {
    try { format = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: zone || 'UTC', hourCycle: 'h23' }); }
    catch { format = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: 'UTC', hourCycle: 'h23' }); }
    formats.set(key, format);
  }
  return format;
}

/** 12:03:11 */
export function time_of_day(ms: number, zone: string): string {
  return date_format(zone, { hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(ms);
}

/** 23 Nov */
export function day(ms: number, zone: string): string {
  return date_format(zone, { day: 'numeric', month: 'short' }).format(ms);
}

/** 2026-11-23 in the zone: for comparing days. */
function day_key(ms: number, zone: string): string {
  return date_format(zone, { year: 'numeric', month: '2-digit', day: '2-digit' }).format(ms);
}

/** 12:03:11 today, 22 Nov 12:03:11 on other days, with the year if it is another one. */
export function moment(ms: number, zone: string, now: number): string {
  if (day_key(ms, zone) === day_key(now, zone)) return time_of_day(ms, zone);
  const year = date_format(zone, { year: 'numeric' });
  const other_year = year.format(ms) !== year.format(now) ? ' ' + year.format(ms) : '';
  return `${day(ms, zone)}${other_year} ${time_of_day(ms, zone)}`;
}

/** Mon 23 Nov 2026, 12:03:11 CET */
export function full_time(ms: number, zone: string): string {
  return date_format(zone, {
    weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short',
  }).format(ms);
}

/** CET, UTC, GMT-5: the zone's short name at that moment. */
export function zone_name(ms: number, zone: string): string {
  const part = date_format(zone, { hour: '2-digit', timeZoneName: 'short' }).formatToParts(ms).find((p) => p.type === 'timeZoneName');
  return part?.value ?? zone;
}

/** 4 s, 3 min, 2 h, 5 d: one figure is enough for an age. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s}\u00a0s`;
  if (s < 3600) return `${Math.floor(s / 60)}\u00a0min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)}\u00a0h`;
  return `${Math.floor(s / 86400)}\u00a0d`;
}

/** 3 d 4 h: for how long something has run. */
export function long_duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const d = Math.floor(s / 86400), h = Math.floor((s % 86400) / 3600), m = Math.floor((s % 3600) / 60);
  if (d) return `${d}\u00a0d ${h}\u00a0h`;
  if (h) return `${h}\u00a0h ${m}\u00a0min`;
  if (m) return `${m}\u00a0min ${s % 60}\u00a0s`;
  return `${s}\u00a0s`;
}

/** "5 s ago"; the future (a device's clock runs ahead) is said as such. */
export function ago(ms: number, now: number): string {
  const age = now - ms;
  if (age < -2000) return t.words.ahead(duration(-age));
  if (age < 1500) return t.words.now;
  return t.words.ago(duration(age));
}

/** A number's text cut at the decimal point, so that a column can align on it. */
export function split_decimal(text: string): [string, string] {
  const at = text.indexOf('.');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at)];
}

/** Slug as the server wants it: lower-case letters, digits, dashes. */
export function slug(text: string): string {
  return text.normalize('NFKD').replace(/[\u0300-\u036f]/g, '').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 63);
}

/** A figure that was computed, such as a limit that a model learned: at most four significant digits, no trailing zeros. */
export function brief(value: number): string { return plain(Number(value.toPrecision(4))); }

/** An element's key as a person says it, where its display name is not at hand: motor.bearing_temperature → Bearing temperature. */
export function words(key: string): string {
  const last = (key.split('.').at(-1) || key).replace(/([a-z])([A-Z])/g, '$1 $2').replaceAll('_', ' ').trim().toLowerCase();
  return last ? last.charAt(0).toUpperCase() + last.slice(1) : key;
}
