// The peer of the benchmark: node-opcua's client alone, subscribed to the same items; counts and drops.
//   node plain_client.mjs URL ITEMS PUBLISHING_MS; a line of JSON a second, until it is ended
import * as client from "node-opcua-client";

const [url, items, publishing] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const { OPCUAClient, ClientSubscription, ClientMonitoredItemGroup, AttributeIds, TimestampsToReturn, MessageSecurityMode, SecurityPolicy, UserTokenType } = client;
const opcua = OPCUAClient.create({ securityMode: MessageSecurityMode.SignAndEncrypt, securityPolicy: SecurityPolicy.Basic256Sha256, endpointMustExist: false });
await opcua.connect(url);
const session = await opcua.createSession({ type: UserTokenType.UserName, userName: "plant", password: "gate-5" });
const names = await client.readNamespaceArray(session);
const ns = names.indexOf("urn:test:plant");
const subscription = await session.createSubscription2({ requestedPublishingInterval: publishing, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 10, maxNotificationsPerPublish: 5000, publishingEnabled: true });
let values = 0;
for (let at = 0; at < items; at += 1000) {
  const nodes = Array.from({ length: Math.min(1000, items - at) }, (_, i) => ({ nodeId: `ns=${ns};s=Plant.Counter${at + i}`, attributeId: AttributeIds.Value }));
  const group = ClientMonitoredItemGroup.create(subscription, nodes, { samplingInterval: 0, queueSize: 100, discardOldest: true }, TimestampsToReturn.Both);
  group.on("changed", () => ++values);
  await new Promise((done, failed) => { group.on("initialized", done); group.on("err", (m) => failed(new Error(m))); });
}
setInterval(() => console.log(JSON.stringify({ values, cpu_s: process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6 })), 1000);
void ClientSubscription;
