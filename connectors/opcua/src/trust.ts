// The trust list: which servers' certificates people have trusted. The folders are those of
// node-opcua: trusted/certs, rejected; a certificate that nobody has judged is in `rejected` and
// not in the list of what people rejected.

import { createHash, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { OPCUACertificateManager } from "node-opcua-certificate-manager";

export interface CertificateInfo {
  thumbprint: string;
  state: "trusted" | "pending" | "rejected";
  subject: string;
  issuer: string;
  application_uri: string;
  valid_from: string;
  valid_to: string;
  key_bits: number | null;
}

function der(file: string): Buffer | null {
  const bytes = readFileSync(file);
  const text = bytes.toString("latin1");
  const pem = /-----BEGIN CERTIFICATE-----([^-]+)-----END/.exec(text);
  return pem ? Buffer.from(pem[1]!, "base64") : bytes;
}

export function info(bytes: Buffer, state: CertificateInfo["state"]): CertificateInfo {
  const certificate = new X509Certificate(bytes);
  const uri = /URI:([^,]+)/.exec(certificate.subjectAltName ?? "");
  return {
    thumbprint: createHash("sha1").update(certificate.raw).digest("hex"),
    state,
    subject: certificate.subject.replaceAll("\n", ", "),
    issuer: certificate.issuer.replaceAll("\n", ", "),
    application_uri: uri ? uri[1]! : "",
    valid_from: new Date(certificate.validFrom).toISOString(),
    valid_to: new Date(certificate.validTo).toISOString(),
    key_bits: certificate.publicKey.asymmetricKeyDetails?.modulusLength ?? null,
  };
}

export class Trust {
  manager!: OPCUACertificateManager;
  readonly certificateFile: string;
  readonly applicationUri: string;
  private readonly judgedFile: string;
  private judged = new Set<string>();

  constructor(private readonly directory: string, private readonly application: string) {
    this.certificateFile = path.join(directory, "own/certs/certificate.pem");
    this.judgedFile = path.join(directory, "rejected.json");
    this.applicationUri = `urn:${os.hostname()}:penstock:${application}`;
  }

  async open(): Promise<void> {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    this.manager = new OPCUACertificateManager({ rootFolder: this.directory, automaticallyAcceptUnknownCertificate: false, keySize: 2048 });
    await this.manager.initialize();
    if (existsSync(this.judgedFile)) this.judged = new Set(JSON.parse(readFileSync(this.judgedFile, "utf8")) as string[]);
    if (!existsSync(this.certificateFile))
      await this.manager.createSelfSignedCertificate({
        applicationUri: this.applicationUri,
        subject: `/CN=Penstock ${this.application}/O=Penstock`,
        dns: [os.hostname()],
        startDate: new Date(Date.now() - 86_400_000),
        validity: 365 * 10,
        outputFile: this.certificateFile,
      });
  }
  get privateKeyFile(): string {
    return this.manager.privateKey;
  }
  private save(): void {
    writeFileSync(`${this.judgedFile}.new`, JSON.stringify([...this.judged]), { mode: 0o600 });
    renameSync(`${this.judgedFile}.new`, this.judgedFile);
  }

  private files(folder: string): { file: string; bytes: Buffer }[] {
    const at = path.join(this.directory, folder);
    if (!existsSync(at)) return [];
    const out: { file: string; bytes: Buffer }[] = [];
    for (const name of readdirSync(at)) {
      try {
        const bytes = der(path.join(at, name));
        if (bytes) out.push({ file: path.join(at, name), bytes });
      } catch {
        // No certificate; node-opcua leaves it alone too.
      }
    }
    return out;
  }
  list(): { own: CertificateInfo; items: CertificateInfo[] } {
    const items = new Map<string, CertificateInfo>();
    for (const [folder, state] of [["rejected", "pending"], ["trusted/certs", "trusted"]] as const)
      for (const { bytes } of this.files(folder)) {
        try {
          const one = info(bytes, state);
          if (state === "pending" && this.judged.has(one.thumbprint)) one.state = "rejected";
          items.set(one.thumbprint, one);
        } catch {
          // Not a certificate.
        }
      }
    return { own: info(der(this.certificateFile)!, "trusted"), items: [...items.values()] };
  }
  private find(thumbprint: string): Buffer {
    for (const folder of ["rejected", "trusted/certs"])
      for (const { bytes } of this.files(folder))
        if (createHash("sha1").update(bytes).digest("hex") === thumbprint.toLowerCase()) return bytes;
    throw new Error("there is no certificate of that thumbprint");
  }
  async trust(thumbprint: string): Promise<void> {
    await this.manager.trustCertificate(this.find(thumbprint));
    this.judged.delete(thumbprint.toLowerCase());
    this.save();
  }
  async reject(thumbprint: string): Promise<void> {
    await this.manager.rejectCertificate(this.find(thumbprint));
    this.judged.add(thumbprint.toLowerCase());
    this.save();
  }
  /** A server showed it: pending, unless somebody has judged it. */
  async offer(bytes: Buffer): Promise<CertificateInfo["state"]> {
    const { thumbprint } = info(bytes, "pending");
    const known = this.list().items.find((one) => one.thumbprint === thumbprint);
    if (known) return known.state;
    await this.manager.rejectCertificate(bytes);
    return "pending";
  }
  /** Forgets it: seen again, it is pending again. */
  forget(thumbprint: string): void {
    for (const folder of ["rejected", "trusted/certs"])
      for (const { file, bytes } of this.files(folder))
        if (createHash("sha1").update(bytes).digest("hex") === thumbprint.toLowerCase()) rmSync(file, { force: true });
    this.judged.delete(thumbprint.toLowerCase());
    this.save();
  }
  /** Whether a person has said no to it: then the source says so rather than "waits for trust". */
  isRejected(bytes: Buffer): boolean {
    return this.judged.has(createHash("sha1").update(bytes).digest("hex"));
  }
}
