// Which elements of an asset are shown first: one of each quantity, the most telling ones before the others. The server
// chooses what a card shows by the same order (key_elements in src/api/twins.cpp).
interface Measured { semantic_type: string }
const first = ['Pressure', 'Temperature', 'Velocity', 'Acceleration', 'Current', 'Power'];

export function most_telling<T extends Measured>(elements: readonly T[]): T[] {
  const seen = new Map<string, number>();
  return elements
    .map((element, index) => {
      const nth = seen.get(element.semantic_type) ?? 0;
      seen.set(element.semantic_type, nth + 1);
      const place = first.indexOf(element.semantic_type);
      return { element, nth, place: place < 0 ? first.length : place, index };
    })
    .sort((a, b) => a.nth - b.nth || a.place - b.place || a.index - b.index)
    .map((one) => one.element);
}
