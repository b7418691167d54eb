/** The way out: gateways and name servers of nodes with a fixed address. Nodes that ask DHCP are told both. */
import { isReachable, parseAddress } from '../../../steps/addresses.js';
import type { Fleet, Member } from '../fleet.js';
import { parseIp } from '../networks.js';
import type { FleetProblem, FleetRule } from '../rule.js';
import { textOf } from '../words.js';

const KEYFILE = 'https://networkmanager.dev/docs/api/latest/nm-settings-nmcli.html';

export const gatewayRules: readonly FleetRule[] = [
  { id: 'fleet-gateway-outside', severity: 'error', title: 'every gateway is in the network of its node', source: 'https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1', check: checkReachable },
  { id: 'fleet-gateway-own', severity: 'error', title: 'no node is its own gateway', source: 'https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1', check: checkOwn },
  { id: 'fleet-gateway-missing', severity: 'warning', title: 'every fixed address comes with a gateway', source: KEYFILE, check: checkMissing },
  {
    id: 'fleet-dns-missing', severity: 'warning', title: 'every fixed address comes with a name server', check: checkServers,
    source: 'https://github.com/kubernetes-sigs/kubespray/blob/master/roles/kubernetes/preinstall/tasks/0040-verify-settings.yml',
  },
];

function gatewaysOf({ values }: Member): string[] {
  return [values.get('gateway')].flat().flatMap((item) => textOf(item) ?? []).filter((text) => parseIp(text) !== undefined);
}

function checkReachable({ members }: Fleet): FleetProblem[] {
  return members.flatMap((member) => {
    const network = member.fixed && parseAddress(member.fixed.text);
    return gatewaysOf(member).filter((gateway) => network && !isReachable(gateway, [network])).map((gateway) => ({
      subject: member.subject, message: `expected a gateway in the network of ${member.fixed!.text}, found ${gateway}`, hint: 'correct the gateway, or the prefix of the address',
    }));
  });
}

function checkOwn({ members }: Fleet): FleetProblem[] {
  return members.flatMap((member) => gatewaysOf(member).filter((gateway) => {
    const ip = parseIp(gateway)!;
    return member.addresses.some((one) => one.use === 'own' && one.ip.family === ip.family && one.ip.value === ip.value);
  }).map((gateway) => ({ subject: member.subject, message: `expected the gateway to be another machine, found ${gateway}, which is the node's own address`, hint: 'set gateway to the address of the router' })));
}

function checkMissing({ members }: Fleet): FleetProblem[] {
  return members.filter(({ fixed, values }) => fixed && textOf([values.get('gateway')].flat()[0]) === undefined).map(({ subject, fixed }) => ({
    subject, message: `expected a gateway for the fixed address ${fixed!.text}, found none: the node reaches only its own network`, hint: 'set gateway for the node or its group',
  }));
}

function checkServers({ members }: Fleet): FleetProblem[] {
  return members.filter(({ fixed, values }) => fixed && textOf([values.get('dns')].flat()[0]) === undefined).map(({ subject, fixed }) => ({
    subject, message: `expected a name server for the fixed address ${fixed!.text}, found none: nothing resolves, and Kubespray stops`, hint: 'set dns for the node or its group, as [192.0.2.1]',
  }));
}
