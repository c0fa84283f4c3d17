// A node-opcua server whose variables are the samples of a site, SignAndEncrypt only. It keeps their history: a client that
// was away reads what it missed. A server that was killed has the same history when it comes back.
//   opcua.mjs --port N --pki FOLDER --base MS --first N
import { join } from 'node:path';
import { DataType, MessageSecurityMode, SecurityPolicy, StatusCodes, Variant } from 'node-opcua-client';
import { OPCUAServer } from 'node-opcua-server';
import { createRequire } from 'node:module';
import { last_number, options, period_ms, time_ms, values } from './samples.mjs';

const { OPCUACertificateManager } = createRequire(import.meta.url)('node-opcua-certificate-manager');
const o = options(), base = Number(o.base), state = last_number();
const manager = async (name) => {
  const made = new OPCUACertificateManager({ rootFolder: join(o.pki, name), automaticallyAcceptUnknownCertificate: true, keySize: 2048 });
  await made.initialize();
  return made;
};
const server = new OPCUAServer({
  port: Number(o.port), hostname: '127.0.0.1', serverCertificateManager: await manager('own'), userCertificateManager: await manager('users'),
  allowAnonymous: false, securityModes: [MessageSecurityMode.SignAndEncrypt], securityPolicies: [SecurityPolicy.Basic256Sha256],
  userManager: { isValidUser: (name, password) => name === 'plant' && password === o.password }, buildInfo: { productName: 'interop peer' },
});
await server.initialize();
const space = server.engine.addressSpace, own = space.registerNamespace('urn:interop:works');
const machine = own.addObject({ organizedBy: space.rootFolder.objects, browseName: 'Compressor', nodeId: 's=Compressor' });
const access = 'CurrentRead | HistoryRead';
const variables = Object.keys(values(0)).map((element) => {
  const variable = own.addVariable({ componentOf: machine, browseName: element, nodeId: `s=Compressor.${element}`, dataType: 'Double', accessLevel: access, userAccessLevel: access, minimumSamplingInterval: 0 });
  space.installHistoricalDataNode(variable, { maxOnlineValues: 100_000 });
  return [element, variable];
});
const due = () => Math.min(Math.floor((Date.now() - base) / period_ms), state.until);
let next = 0;
const catch_up = () => {
  for (; next <= due(); ++next) for (const [element, variable] of variables) variable.setValueFromSource(new Variant({ dataType: DataType.Double, value: values(next)[element] }), StatusCodes.Good, new Date(time_ms(base, next)));
};
catch_up();
await server.start();
process.stdout.write('listening\n');
setInterval(catch_up, period_ms);
