// What the server wants of the connector: one file that it replaces as a whole, readable by its
// owner only, for it holds the passwords (docs/opcua.md). A message on MQTT says that it changed.

import { readFileSync } from "node:fs";

export interface GatewayConfiguration {
  host: string;
  port: number;
  username: string;
  password: string;
}

export interface UserToken {
  kind: "anonymous" | "password" | "certificate";
  name?: string;
  password?: string;
  /** PEM */
  certificate?: string;
  key?: string;
}

export interface NodeConfiguration {
  /** Within the device: what the binding knows. */
  address: string;
  /** "nsu=http://x;s=Pump.Speed", or that of the root where there is a path. */
  node: string;
  /** From the node on, by browse names: each with the URI of its namespace. */
  path?: { ns: string; name: string }[];
  sampling_ms?: number;
  queue?: number;
  deadband?: number;
  deadband_percent?: number;
}

export interface AssetConfiguration {
  device: string;
  /** Events whose source is this node, or one of `nodes`, belong to the device. */
  root?: string;
  nodes: NodeConfiguration[];
}

export interface SourceConfiguration {
  id: string;
  name: string;
  endpoint_url: string;
  security_mode: "None" | "Sign" | "SignAndEncrypt";
  security_policy: string;
  user: UserToken;
  publishing_ms: number;
  sampling_ms: number;
  queue: number;
  keep_alive_ms: number;
  time_out_ms: number;
  /** Whose clock a value has: the source's, the server's, or ours. */
  time_from: "source" | "server" | "arrival";
  history: boolean;
  history_hours_max: number;
  events: boolean;
  assets: AssetConfiguration[];
}

export interface Configuration {
  generation: number;
  gateway: GatewayConfiguration;
  /** Where queue, keys and certificates are. */
  directory: string;
  queue_bytes_max: number;
  sources: SourceConfiguration[];
}

export function readConfiguration(file: string): Configuration {
  return JSON.parse(readFileSync(file, "utf8")) as Configuration;
}
