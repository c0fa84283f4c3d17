// An OPC UA server for the tests, on node-opcua-server:
//   node opcua_server.mjs '{"port":0,"pki":"/tmp/x","items":10,"interval_ms":1000,…}'
// Prints one JSON line when it listens. Every item counts up, one step an interval; what it counted
// is kept in a file beside the keys, so that a restarted server has the history of the one before.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import path from "node:path";
import * as client from "node-opcua-client";
import * as servers from "node-opcua-server";
import { createRequire } from "node:module";

const opcua = { ...client, ...servers };
const require = createRequire(import.meta.url);
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { nodesets } = require("node-opcua-nodesets");
const {
  OPCUAServer, MessageSecurityMode, SecurityPolicy, DataType, Variant, StatusCodes, UserTokenType, makeApplicationUrn,
} = opcua;

const o = {
  port: 0, items: 10, interval_ms: 1000, history: true, secure_only: true, users: { plant: "gate-5" }, namespaces: ["urn:test:plant"], machines: 0,
  alarm: false, bad: false, clock_offset_ms: 0, nodesets: ["standard"], max_items_per_call: 1000, ...JSON.parse(process.argv[2] ?? "{}"),
};
const certificates = new OPCUACertificateManager({ rootFolder: path.join(o.pki, "own"), automaticallyAcceptUnknownCertificate: true, keySize: 2048 });
const users = new OPCUACertificateManager({ rootFolder: path.join(o.pki, "users"), automaticallyAcceptUnknownCertificate: true, keySize: 2048 });
await certificates.initialize();
await users.initialize();
const server = new OPCUAServer({
  port: o.port, hostname: "127.0.0.1", serverCertificateManager: certificates, userCertificateManager: users,
  nodeset_filename: o.nodesets.map((name) => nodesets[name]),
  allowAnonymous: !o.secure_only || o.anonymous === true,
  securityModes: o.secure_only ? [MessageSecurityMode.SignAndEncrypt] : [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
  securityPolicies: o.secure_only ? [SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes256_Sha256_RsaPss] : [SecurityPolicy.None, SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes256_Sha256_RsaPss],
  userManager: { isValidUser: (name, password) => o.users[name] === password },
  serverCapabilities: { maxSessions: 50, maxMonitoredItems: 200_000, maxMonitoredItemsPerSubscription: 200_000, operationLimits: { maxMonitoredItemsPerCall: o.max_items_per_call, maxNodesPerRead: 1000, maxNodesPerBrowse: 1000, maxNodesPerTranslateBrowsePathsToNodeIds: 100 } },
  buildInfo: { productName: "penstock test server" },
});
await server.initialize();
const space = server.engine.addressSpace;
for (const uri of o.namespaces) if (!space.getNamespaceArray().some((n) => n.namespaceUri === uri)) space.registerNamespace(uri);
const own = space.getNamespace("urn:test:plant");
const plant = own.addObject({ organizedBy: space.rootFolder.objects, browseName: "Plant", nodeId: "s=Plant", eventSourceOf: o.alarm ? space.rootFolder.objects.server : undefined, eventNotifier: 1 });

// -- counters
const log = path.join(o.pki, "counted.log");
let count = 0;
const before = [];
if (existsSync(log))
  for (const line of readFileSync(log, "utf8").split("\n")) {
    const [n, ms] = line.split(" ").map(Number);
    if (Number.isFinite(ms) && line.includes(" ")) {
      before.push([n, ms]);
      count = Math.max(count, n);
    }
  }
const variables = [];
for (let i = 0; i < o.items; ++i) {
  const variable = own.addAnalogDataItem
    ? own.addAnalogDataItem({
        componentOf: plant, browseName: `Counter ${i}`, nodeId: `s=Plant.Counter${i}`, dataType: "Double", engineeringUnitsRange: { low: 0, high: 1e9 },
        engineeringUnits: opcua.standardUnits?.bar ?? undefined, accessLevel: o.history ? "CurrentRead | CurrentWrite | HistoryRead" : "CurrentRead | CurrentWrite",
        userAccessLevel: o.history ? "CurrentRead | CurrentWrite | HistoryRead" : "CurrentRead | CurrentWrite",
        minimumSamplingInterval: 0,
      })
    : null;
  variable.setValueFromSource(new Variant({ dataType: DataType.Double, value: count }));
  if (o.history) {
    space.installHistoricalDataNode(variable, { maxOnlineValues: 100_000 });
    for (const [n, ms] of before) variable.setValueFromSource(new Variant({ dataType: DataType.Double, value: n }), StatusCodes.Good, new Date(ms));
  }
  variables.push(variable);
}
const status = own.addVariable({ componentOf: plant, browseName: "Mode", nodeId: "s=Plant.Mode", dataType: "String", minimumSamplingInterval: 0 });
status.setValueFromSource(new Variant({ dataType: DataType.String, value: "auto" }));
const speed = own.addVariable({ componentOf: plant, browseName: "Setpoint", nodeId: "s=Plant.Setpoint", dataType: "Int32", accessLevel: "CurrentRead | CurrentWrite", userAccessLevel: "CurrentRead | CurrentWrite", minimumSamplingInterval: 0 });
speed.setValueFromSource(new Variant({ dataType: DataType.Int32, value: 7 }));
const method = own.addMethod(plant, {
  browseName: "Add", nodeId: "s=Plant.Add",
  inputArguments: [{ name: "a", dataType: DataType.Double }, { name: "b", dataType: DataType.Double }],
  outputArguments: [{ name: "sum", dataType: DataType.Double }],
});
method.bindMethod((inputs, _context, done) => done(null, { statusCode: StatusCodes.Good, outputArguments: [{ dataType: DataType.Double, value: inputs[0].value + inputs[1].value }] }));

// -- machines of one type
if (o.machines > 0) {
  const type = own.addObjectType({ browseName: "PumpType", nodeId: "s=PumpType" });
  for (const name of ["Speed", "Pressure"])
    own.addVariable({ componentOf: type, browseName: name, dataType: "Double", modellingRule: "Mandatory" }).setValueFromSource({ dataType: DataType.Double, value: 1 });
  for (let i = 0; i < o.machines; ++i) {
    const pump = type.instantiate({ browseName: `Pump ${i}`, organizedBy: space.rootFolder.objects });
    pump.speed.setValueFromSource({ dataType: DataType.Double, value: 100 + i });
    pump.pressure.setValueFromSource({ dataType: DataType.Double, value: 5 + i });
  }
}
if (o.alarm) {
  const level = own.addVariable({ componentOf: plant, browseName: "Level", nodeId: "s=Plant.Level", dataType: "Double", eventSourceOf: plant, accessLevel: "CurrentRead | CurrentWrite", userAccessLevel: "CurrentRead | CurrentWrite", minimumSamplingInterval: 0 });
  level.setValueFromSource({ dataType: DataType.Double, value: 50 });
  own.instantiateNonExclusiveLimitAlarm("NonExclusiveLimitAlarmType", {
    browseName: "LevelAlarm", conditionName: "Level of the tank", componentOf: plant, conditionSource: level, inputNode: level, highHighLimit: 90, highLimit: 80, lowLimit: 10, lowLowLimit: 5,
    optionals: ["ConfirmedState", "Confirm"],
  });
}
const tick = () => {
  ++count;
  const now = new Date(Date.now() + o.clock_offset_ms);
  if (o.history) appendFileSync(log, `${count} ${now.getTime()}\n`);
  const bad = o.bad ? StatusCodes.BadDeviceFailure : StatusCodes.Good;
  for (const variable of variables) variable.setValueFromSource(new Variant({ dataType: DataType.Double, value: count }), bad, now);
};
await server.start();
if (o.interval_ms > 0) setInterval(tick, o.interval_ms);
console.log(JSON.stringify({ ready: true, url: `opc.tcp://127.0.0.1:${server.endpoints[0].port}`, count }));
const end = () => server.shutdown(0).finally(() => process.exit(0));
process.on("SIGTERM", end);
process.on("SIGINT", end);
process.on("message", (message) => {
  if (message.count) process.send({ count });
  if (message.bad !== undefined) o.bad = message.bad;
});
