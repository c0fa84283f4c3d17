// What endpoints a server has, before there is a source: asked without security, as the standard
// has it (Part 4, 5.5.4). What it says is only believed once its certificate is trusted.

import { createHash } from "node:crypto";

import { MessageSecurityMode, UserTokenType } from "node-opcua-client";

import { Source, within } from "./source.js";
import { info, type Trust } from "./trust.js";

const POLICIES = ["None", "Basic128Rsa15", "Basic256", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"];

export async function endpoints(url: string, trust: Trust): Promise<unknown> {
  if (!/^opc\.tcp:\/\/[^/\s]+/.test(url)) throw new Error("the address reads opc.tcp://host:4840");
  const client = Source.client({ security_mode: "None", security_policy: "None" }, trust, 0);
  try {
    await within(client.connect(url), 10_000, "the server did not answer: is it running, and is the address right?");
    const all = await within(client.getEndpoints(), 10_000, "the server did not tell its endpoints");
    for (const endpoint of all) if (endpoint.serverCertificate?.length) await trust.offer(endpoint.serverCertificate as Buffer).catch(() => undefined);
    const states = new Map(trust.list().items.map((one) => [one.thumbprint, one.state]));
    return all.map((endpoint) => {
      const bytes = endpoint.serverCertificate as Buffer | null;
      let certificate = null;
      try {
        if (bytes && bytes.length > 0) {
          certificate = info(bytes, "pending");
          certificate.state = states.get(certificate.thumbprint) ?? "pending";
        }
      } catch {
        // Shown without.
      }
      const policy = (endpoint.securityPolicyUri ?? "").split("#")[1] ?? "";
      return {
        endpoint_url: endpoint.endpointUrl ?? url, security_mode: MessageSecurityMode[endpoint.securityMode], security_policy: policy,
        supported: POLICIES.includes(policy), obsolete: policy === "Basic128Rsa15" || policy === "Basic256", level: endpoint.securityLevel,
        user_tokens: [...new Set((endpoint.userIdentityTokens ?? []).map((token) => UserTokenType[token.tokenType]))],
        server_name: endpoint.server?.applicationName?.text ?? "", application_uri: endpoint.server?.applicationUri ?? "",
        certificate, thumbprint: bytes && bytes.length > 0 ? createHash("sha1").update(bytes).digest("hex") : null,
      };
    }).sort((a, b) => b.level - a.level);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new Error(/ECONNREFUSED/.test(text) ? "nobody listens at the address: is the server running?" : text.split("\n")[0]!);
  } finally {
    await within(client.disconnect(), 3000).catch(() => undefined);
  }
}
