// What the OPC UA pages know of the contract's loosely typed parts (docs/opcua.md).
import { api } from './api';

export interface OpcuaNode { node: string; name: string; ns: string; display_name: string; class: string; type: string }
export interface OpcuaVariable {
  node: string; name: string; display_name: string; data_type: string; array: boolean; readable: boolean; writable: boolean; history: boolean;
  value: unknown; status: string; source_time: string | null; unit: string; unit_code: string; error?: string;
}
export interface OpcuaCertificate {
  thumbprint: string; state: 'trusted' | 'pending' | 'rejected'; subject: string; application_uri: string; valid_from: string; valid_to: string; key_bits: number | null;
}
export interface OpcuaEndpoint {
  endpoint_url: string; security_mode: string; security_policy: string; supported: boolean; obsolete: boolean; user_tokens: string[]; server_name: string;
  certificate: OpcuaCertificate | null;
}
export interface OpcuaStatus {
  state: 'stopped' | 'connecting' | 'untrusted' | 'online' | 'silent' | 'waiting'; detail: string; since: string; items: number; values: number; bad: number;
  missing_count: number; missing: { what: string; why: string }[]; last_value: string | null; history_values: number; clock_offset_ms: number;
  gap: { from: string; to: string; values: number; without_history: number; why: string } | null;
}
export interface OpcuaDevice { device: string; root: string; node_count: number }

export const status_of = (source: { status: unknown }) => source.status as Partial<OpcuaStatus> | null;
export const children_of = async (source: string, node: string) =>
  (await api('get', '/opcua/sources/{source}/browse', { path: { source }, query: { node } })).items as unknown as OpcuaNode[];
export const describe = async (source: string, nodes: string[]) =>
  (await api('post', '/opcua/sources/{source}/describe', { path: { source }, body: { nodes } })).items as unknown as OpcuaVariable[];

/** How a state looks: colour only for what needs somebody. */
export const urgency = (state: string | undefined): 'good' | 'wait' | 'bad' =>
  state === 'online' ? 'good' : state === 'connecting' || state === 'stopped' || state === undefined ? 'wait' : 'bad';

export const shown = (value: unknown): string =>
  value === null || value === undefined ? '–' : typeof value === 'number' ? value.toLocaleString('en-GB', { maximumSignificantDigits: 6 }) : typeof value === 'string' ? value : JSON.stringify(value);
