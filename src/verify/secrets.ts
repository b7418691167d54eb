/** Looks into the files of /etc, /root and /home once, for what is secret by its form: private keys, kubeconfigs with credentials, tokens to join a cluster. */
import type { Node } from './node.js';
import { walk } from './paths.js';
import { remembered } from './remembered.js';

export type SecretKind = 'private key' | 'kubeconfig' | 'join token';

export interface Secret {
  readonly kind: SecretKind;
  readonly path: string;
  /** What it is, without any of it: "RSA PRIVATE KEY". */
  readonly what: string;
}

export interface Secrets {
  readonly found: readonly Secret[];
  readonly files: number;
  /** false: there are more files than were looked at. */
  readonly isWhole: boolean;
}

const ROOTS = ['/etc', '/root', '/home'];
const MAX_FILE = 1 << 20; // bytes; keys and configurations are smaller, hardware databases are not
const PIECE = 1 << 17; // bytes of a file that are looked at
const MAX_BYTES = 64 << 20; // of all files

/**
 * The first line of a key and the beginning of what it encloses, so that a manual or a script that only names it is none. RFC 7468 and, for PGP, RFC 9580
 * section 6.2; "Proc-Type:" and the like are the headers of RFC 1421, an empty line ends them.
 */
const PRIVATE_KEY = /^[ \t]*-----BEGIN ((?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----[ \t]*\r?\n(?:[ \t]*[A-Za-z-]+: [^\n]*\n){0,20}(?:[ \t]*\r?\n)?[ \t]*[A-Za-z0-9+/=]{16}/m;
// No expression below takes line ends as white space: on a file of nothing else that would take the square of its length.
/** Credentials of a user in the file itself: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/ */
const KUBECONFIG = /(?:^|[{,])[ \t]*["']?kind["']?[ \t]*:[ \t]*["']?Config\b/m;
const KUBECONFIG_KEY = /(?:^|[{,])[ \t]*["']?client-key-data["']?[ \t]*:[ \t]*["']?[A-Za-z0-9+/=]{16}/m;
const KUBECONFIG_TOKEN = /(?:^|[{,])[ \t-]*["']?(?:token|password)["']?[ \t]*:[ \t]*["']?[^\s"'#{]/m;

/** Each with what it is. In k3s and RKE2 (docs.k3s.io, cli/token), and a bootstrap token of kubeadm: 6 and 16 characters. */
const TOKENS: readonly (readonly [paths: RegExp, text: RegExp, what: string])[] = [
  [/^\/etc\/rancher\/[^/]+\/config\.yaml(\.d\/[^/]+)?$/, /^[ \t]*["']?(?:agent-|server-)?token["']?[ \t]*:[ \t]*["']?[^\s"'#]/m, 'a token for joining the cluster'],
  [/^\/etc\/(systemd\/system|default|sysconfig)\//, /^[ \t]*(?:export )?["']?(?:K3S_TOKEN|K3S_AGENT_TOKEN|K3S_CLUSTER_SECRET|RKE2_TOKEN|RKE2_AGENT_TOKEN)=["']?[^\s"']/m, 'a token in the environment of k3s or RKE2'],
  [/^\/etc\/systemd\/system\/(k3s|rke2)/, /--(?:agent-)?token[= ]["']?[^\s"'-]/, 'a token on a command line'],
  [/./, /\bK10[0-9a-f]{64}::[^\s"']/, 'a token of k3s or RKE2'],
  [/./, /(?:\btoken["']?[ \t]*[:=][ \t]*|--token[= ])["']?[a-z0-9]{6}\.[a-z0-9]{16}\b/, 'a bootstrap token of kubeadm'],
];

export const secretsOf: (node: Node) => Secrets = remembered(search);

function search(node: Node): Secrets {
  const found: Secret[] = [];
  let [files, bytes, isWhole] = [0, 0, true];
  for (const root of ROOTS) {
    const one = walk(node, root);
    isWhole &&= one.isWhole;
    for (const { path, stat } of one.found) {
      if (stat.type !== 'file' || stat.size === 0 || stat.size > MAX_FILE) continue;
      if (bytes >= MAX_BYTES) return { found, files, isWhole: false };
      const text = Buffer.from(node.tree.read(path, 0, PIECE)).toString('latin1');
      files += 1;
      bytes += text.length;
      found.push(...secretsIn(path, text));
    }
  }
  return { found, files, isWhole };
}

function secretsIn(path: string, text: string): Secret[] {
  const key = text.includes('PRIVATE KEY') ? PRIVATE_KEY.exec(text)?.[1] : undefined;
  const isKubeconfig = KUBECONFIG_KEY.test(text) || (KUBECONFIG.test(text) && KUBECONFIG_TOKEN.test(text));
  const token = TOKENS.find(([paths, wanted]) => paths.test(path) && wanted.test(text))?.[2];
  return [
    ...(key === undefined ? [] : [{ kind: 'private key' as const, path, what: key }]),
    ...(isKubeconfig ? [{ kind: 'kubeconfig' as const, path, what: 'a kubeconfig with credentials' }] : []),
    ...(token === undefined ? [] : [{ kind: 'join token' as const, path, what: token }]),
  ];
}
