// Light, dark, or as the system has it. public/theme.js applies the choice before the first paint.
export type Theme = 'system' | 'light' | 'dark';
const key = 'penstock.theme';

function read(): Theme {
  try {
    const kept = localStorage.getItem(key);
    return kept === 'dark' || kept === 'light' ? kept : 'system';
  } catch { return 'system'; }
}

let choice = $state<Theme>(read());
const system_dark = matchMedia('(prefers-color-scheme: dark)');
let system = $state(system_dark.matches);
system_dark.addEventListener('change', (event) => { system = event.matches; });

export const theme = {
  get choice() { return choice; },
  get dark() { return choice === 'dark' || (choice === 'system' && system); },
  set(next: Theme) {
    choice = next;
    if (next === 'system') delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = next;
    try { if (next === 'system') localStorage.removeItem(key); else localStorage.setItem(key, next); } catch { /* not kept in a private window */ }
  },
};
