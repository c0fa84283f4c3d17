// The one door to the server. Paths, parameters, bodies and answers are typed by openapi.json itself, so a page that
// asks for something the server does not offer does not compile.
import type { paths, Problem } from './api-schema';
import { t } from './texts';

export type * from './api-schema';

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
type PathsOf<M extends Method> = { [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never }[keyof paths];
type Operation<P extends keyof paths, M extends Method> = paths[P] extends Record<M, infer O> ? O : never;
type Json<R> = R extends { content: { 'application/json': infer J } } ? J : undefined;
type Answer<O> = O extends { responses: infer R }
  ? Json<R extends { 200: infer A } ? A : R extends { 201: infer A } ? A : R extends { 202: infer A } ? A : never> : never;
type Body<O> = O extends { requestBody?: { content: { 'application/json': infer B } } } ? B : undefined;
type Query<O> = O extends { parameters: { query?: infer Q } } ? Q : undefined;

export interface Asking<O> {
  /** Values for {braces} in the path. */
  path?: Record<string, string>;
  query?: Query<O>;
  body?: Body<O>;
  /** 'text': the answer is no JSON. */
  as?: 'text';
  signal?: AbortSignal;
}

/** What went wrong, in a sentence for the person in front of the screen. status 0: the server was not reached. */
export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, detail: string, readonly about?: string) {
    super(detail);
  }
}

let csrf = '';
/** Called after sign-in; every write carries the token back (X-CSRF-Token). */
export function keepCsrf(token: string) { csrf = token; }

/** Called when the server says that nobody is signed in. Set by the session, so that this file needs nothing above it. */
export const whenSignedOut: { call: () => void } = { call: () => {} };

function address(path: string, asking?: Asking<unknown>): string {
  let url = '/api/v1' + path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(asking?.path?.[name] ?? ''));
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries((asking?.query ?? {}) as Record<string, unknown>))
    if (value !== undefined && value !== null && value !== '') query.set(name, String(value));
  const text = query.toString();
  if (text) url += '?' + text;
  return url;
}

async function problemOf(response: Response): Promise<ApiError> {
  const problem = (await response.json().catch(() => null)) as Problem | null;
  if (problem?.detail) return new ApiError(response.status, problem.code, problem.detail, problem.about);
  return new ApiError(response.status, 'internal', t.errors.status(response.status));
}

/** Asks the server. Throws ApiError; an AbortError passes through. */
export async function api<M extends Method, P extends PathsOf<M>>(
  method: M, path: P, asking?: Asking<Operation<P, M>>): Promise<Answer<Operation<P, M>>> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (asking?.body !== undefined) headers['content-type'] = 'application/json';
  if (method !== 'get' && csrf) headers['x-csrf-token'] = csrf;
  let response: Response;
  try {
    response = await fetch(address(path as string, asking as Asking<unknown>), {
      method: method.toUpperCase(), headers, credentials: 'same-origin', signal: asking?.signal ?? null,
      body: asking?.body === undefined ? null : JSON.stringify(asking.body),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, 'unavailable', t.errors.unreachable);
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    // A wrong password or a used link says nothing about who is signed in.
    if (response.status === 401 && !['/session', '/setup'].includes(path as string)) whenSignedOut.call();
    throw problem;
  }
  if (response.status === 204) return undefined as Answer<Operation<P, M>>;
  if (asking?.as === 'text') return (await response.text()) as Answer<Operation<P, M>>;
  return (await response.json()) as Answer<Operation<P, M>>;
}

/** What to show for anything thrown. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
