import { readdirSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// Unit tests (src/lib/*_test.ts) are bundled as they would be for the page and run by node's own test runner.
const tests = readdirSync('src/lib').filter((name) => name.endsWith('_test.ts'));
export default defineConfig({
  plugins: [svelte()],
  build: { ssr: true, outDir: 'dist-test', minify: false, rollupOptions: { input: tests.map((name) => `src/lib/${name}`), output: { entryFileNames: '[name].test.mjs' } } },
});
