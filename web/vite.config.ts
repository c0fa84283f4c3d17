import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

// The dev server speaks the API's contract with made-up data, so that the page can be drawn without a server.
// PENSTOCK=http://127.0.0.1:8080 npm run dev talks to a real one instead. Neither is in the build.
const real = process.env.PENSTOCK;
const mocked = new URL('./dev/mock.mjs', import.meta.url).href;

export default defineConfig(async ({ command }) => ({
  plugins: [svelte(), command === 'serve' && !real ? (await import(mocked)).mock() as Plugin : null],
  server: real ? { proxy: { '/api': { target: real, ws: true, changeOrigin: true } } } : {},
  // As src/api/http/security_headers.cpp has it.
  preview: { headers: { 'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'" } },
  build: { target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0, reportCompressedSize: false },
}));
