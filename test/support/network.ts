import { execFileSync, spawnSync } from 'node:child_process'
import { Run } from './command'
import type { Main } from './childProcess'
import { sourceInProcess } from './childProcess'

/**
 * Networks of hosts that are Linux network namespaces, joined by a cable (a
 * veth pair) that can be cut, put back, or taken away with its host. They are
 * in a user namespace, in which anybody may do so, where that is allowed.
 */

const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }

const UNSHARE = ['unshare', '--user', '--map-root-user', '--net']

/** Why there can be no such network here; undefined if there can be. */
export const whyNoNetwork = ((): string | undefined => {
  if (process.platform !== 'linux') return 'only Linux has network namespaces'
  const [unshare, ...options] = UNSHARE
  const command = 'ip link add name a type veth peer name b'
  const { status, stderr, error } = spawnSync(
    unshare!,
    [...options, 'sh', '-c', command],
    { env, encoding: 'utf8' }
  )
  if (status === 0) return undefined
  return `no network namespaces here: ${error?.message ?? stderr.trim()}`
})()

const CABLE = 'cable'

export type HostName = 'left' | 'right'

const addresses = { left: '10.0.0.1', right: '10.0.0.2' }

/** A network namespace, and the processes in it. */
class Host {
  readonly #holder: Run
  readonly #runs: Run[] = []

  private constructor(holder: Run) {
    this.#holder = holder
  }

  /** @param command what makes its namespace */
  static async start(command: readonly string[]): Promise<Host> {
    const [file, ...args] = command
    // It lasts as long as a process is in it: this one, which gives up when
    // the tests were killed and cannot end it.
    const hold = ['sh', '-c', 'echo ready >&2; exec sleep 120']
    const holder = new Run(file!, [...args, ...hold], { env })
    await holder.line('ready')
    return new Host(holder)
  }

  get pid(): number {
    return this.#holder.pid
  }

  /** What runs a command in the namespace. */
  get prefix(): readonly string[] {
    const target = ['--target', `${this.pid}`, '--user', '--net']
    return ['nsenter', ...target, '--preserve-credentials']
  }

  /** Runs a command to its end, and returns what it writes. */
  execute(...command: string[]): string {
    const [file, ...args] = [...this.prefix, ...command]
    return execFileSync(file!, args, { env, encoding: 'utf8' })
  }

  start(...command: string[]): Run {
    const [file, ...args] = [...this.prefix, ...command]
    const run = new Run(file!, args, { env })
    this.#runs.push(run)
    return run
  }

  async end(): Promise<void> {
    const runs = [...this.#runs, this.#holder]
    for (const run of runs) run.kill('SIGKILL')
    await Promise.all(runs.map((run) => run.exit))
  }
}

const networks = new Set<Network>()

afterEach(async () => {
  const all = [...networks]
  networks.clear()
  await Promise.all(all.map((network) => network.end()))
})

/** Two hosts and the cable between them. */
export class Network {
  readonly #left: Host
  #right: Host

  private constructor(left: Host, right: Host) {
    this.#left = left
    this.#right = right
    networks.add(this)
    this.#join()
  }

  static async create(): Promise<Network> {
    const left = await Host.start(UNSHARE)
    return new Network(left, await Network.#besides(left))
  }

  /** Another host in the same user namespace. */
  static #besides(left: Host): Promise<Host> {
    return Host.start([...left.prefix, 'unshare', '--net'])
  }

  #join(): void {
    const { pid } = this.#right
    const other = ['peer', 'name', CABLE, 'netns', `${pid}`]
    this.#left.execute(
      ...['ip', 'link', 'add', 'name', CABLE, 'type', 'veth', ...other]
    )
    for (const name of ['left', 'right'] as const) {
      const host = this.#host(name)
      const address = `${addresses[name]}/30`
      host.execute('ip', 'address', 'add', address, 'dev', CABLE)
      this.plug(name)
    }
  }

  #host(name: HostName): Host {
    return name === 'left' ? this.#left : this.#right
  }

  /** Where to listen at a host, and to dial it from the other one. */
  url(host: HostName, port: number): string {
    return `tcp://${addresses[host]}:${port}`
  }

  /** Runs a function on a host, in a process of its own. */
  run<A extends readonly unknown[]>(
    host: HostName,
    main: Main<A> | string,
    ...args: A
  ): Run {
    const source = sourceInProcess(String(main), ...args)
    return this.#host(host).start(process.execPath, '-e', source)
  }

  /** Pulls the cable out of a host. The other one loses its carrier. */
  cut(host: HostName): void {
    this.#host(host).execute('ip', 'link', 'set', CABLE, 'down')
  }

  /** Puts it back. */
  plug(host: HostName): void {
    this.#host(host).execute('ip', 'link', 'set', CABLE, 'up')
  }

  /** The right host loses its power: it has no time to say goodbye. */
  async vanish(): Promise<void> {
    this.#right.execute('ip', 'link', 'delete', CABLE)
    await this.#right.end()
  }

  /** In its place there is another one, of the same address. */
  async replace(): Promise<void> {
    this.#right = await Network.#besides(this.#left)
    this.#join()
  }

  /**
   * From now on what a host sends to the other one gets lost on the way: it
   * goes to an address of Ethernet that nobody has.
   */
  swallow(host: HostName): void {
    const nobody = ['lladdr', '02:00:00:00:00:02', 'nud', 'permanent']
    this.#neighbour(host, 'replace', ...nobody)
  }

  /** The host looks for the other one again. */
  find(host: HostName): void {
    this.#neighbour(host, 'delete')
  }

  #neighbour(host: HostName, verb: string, ...what: string[]): void {
    const other = addresses[host === 'left' ? 'right' : 'left']
    const entry = [other, 'dev', CABLE, ...what]
    this.#host(host).execute('ip', 'neighbour', verb, ...entry)
  }

  /** How often a host wanted to send something and knew no way. */
  noRoutes(host: HostName): number {
    return this.#count(host, 'Ip', 'OutNoRoutes')
  }

  /** How often a host has begun to connect to somebody. */
  dials(host: HostName): number {
    return this.#count(host, 'Tcp', 'ActiveOpens')
  }

  /** A counter of a host's system. */
  #count(host: HostName, protocol: string, counter: string): number {
    const text = this.#host(host).execute('cat', '/proc/net/snmp')
    const [names, values] = text
      .split('\n')
      .filter((line) => line.startsWith(`${protocol}: `))
      .map((line) => line.split(' '))
    return Number(values![names!.indexOf(counter)])
  }

  async end(): Promise<void> {
    await Promise.all([this.#left.end(), this.#right.end()])
  }
}
