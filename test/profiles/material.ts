/** What the shipped profiles are given in their tests: one call of each that uses most of what it can do. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { output } from '../support/oracle.js';
import { makeElf } from '../verify/make-elf.js';

export const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGd0n8Pq0G4hbVPt0cKCtqvsaT/2bZWYO+5Y6h2q3nJz someone@laptop';
/** Everything that a quoting may stumble over. */
export const TOKEN = 'K10c0ffee::server:geheim-"ß"-\\back\'slash #1';
export const NODE = ['hostname=node1', 'user=ops', `ssh_keys=${KEY}`, 'address=192.0.2.11/24', 'gateway=192.0.2.1', 'dns=192.0.2.1'];

/** What a release of k3s and one of RKE2 give: a static program for arm64, a tarball with programs and units, images. Placeholders of the right kind. */
export interface Releases { readonly k3s: string; readonly k3sImages: string; readonly rke2: string; readonly rke2Images: string }

/** Made in a folder that goes after the file's tests. */
export function releases(): Releases {
  const folder = mkdtempSync(join(tmpdir(), 'rockberry-releases-'));
  chmodSync(folder, 0o755); // the program is run as nobody
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const place = (name: string, content: string | Uint8Array, mode = 0o644): string => {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), content, { mode });
    return join(folder, name);
  };
  const unit = (kind: string): string => `[Unit]\nDescription=Rancher Kubernetes Engine v2 (${kind})\nWants=network-online.target\nAfter=network-online.target\n\n[Install]\nWantedBy=multi-user.target\n\n[Service]\nType=notify\nExecStart=/usr/local/bin/rke2 ${kind}\n`;
  place('rke2/bin/rke2', makeElf(), 0o755);
  for (const kind of ['server', 'agent']) place(`rke2/lib/systemd/system/rke2-${kind}.service`, unit(kind));
  const rke2 = join(folder, 'rke2.linux-arm64.tar.gz');
  output('tar', ['--owner=0', '--group=0', '--mtime=@0', '--sort=name', '-czf', rke2, '-C', join(folder, 'rke2'), 'bin', 'lib']);
  return { k3s: place('k3s-arm64', makeElf(), 0o755), k3sImages: place('k3s-airgap-images-arm64.tar.zst', 'images of k3s\n'), rke2, rke2Images: place('rke2-images.linux-arm64.tar.zst', 'images of RKE2\n') };
}

const K3S = 'k3s_version=v1.34.1+k3s1';
const RKE2 = 'rke2_version=v1.34.1+rke2r1';

/** Each profile's own settings, secrets apart. */
export function settingsOf(name: string, { k3s, k3sImages, rke2, rke2Images }: Releases): string[] {
  const own: Record<string, string[]> = {
    'k3s-server': [K3S, `k3s_binary=${k3s}`, `k3s_images=${k3sImages}`, 'cluster_init=true'],
    'k3s-agent': [K3S, 'server=https://192.0.2.1:6443'],
    'rke2-server': [RKE2],
    'rke2-agent': [RKE2, `rke2_tarball=${rke2}`, `rke2_images=${rke2Images}`, 'server=https://192.0.2.1:9345', 'firewall=open'],
    'kubeadm-node': ['role=control-plane', 'firewall=open', 'cluster_networks=10.244.0.0/16,10.96.0.0/12'],
  };
  return [...(name === 'cgroups' ? [] : NODE), ...(own[name] ?? [])];
}
