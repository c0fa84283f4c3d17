// Who is signed in, and what they may do.
import { api, ApiError, keepCsrf, whenSignedOut, type Session } from './api';
import { go } from './router.svelte';

let current = $state.raw<Session | null>(null);
let known = $state(false);
let failure = $state<string | null>(null);

export const session = {
  get current() { return current; },
  /** False until the server has said who we are. */
  get known() { return known; },
  /** Why it could not be asked. */
  get failure() { return failure; },
  /** The page hides what the server would refuse. */
  may(permission: string) {
    const permissions = current?.permissions ?? [];
    return permissions.includes(permission) || permissions.includes('*');
  },
  take(next: Session | null) {
    current = next;
    known = true;
    failure = null;
    keepCsrf(next?.csrf ?? '');
  },
  async ask() {
    try {
      session.take(await api('get', '/session'));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) session.take(null);
      else failure = error instanceof Error ? error.message : String(error);
    }
  },
  async leave() {
    await api('delete', '/session');
    // Who signs in next begins at the overview and not where somebody else was.
    go('#/', true);
    session.take(null);
  },
};
whenSignedOut.call = () => session.take(null);
