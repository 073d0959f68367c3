// What the command `nng-pair` writes about an exchange.

/** What a node says that receives everything; the one that dials says more. */
export function exchangeLines(node: 0 | 1, count: number): string[] {
  const rounds = Array.from({ length: count }, (_, i) => [
    `Node ${node} sends message ${i} from node ${node}.`,
    `Node ${node} received message ${i} from node ${1 - node}.`
  ])
  return [...rounds.flat(), `Node ${node}: Done.`]
}

/** What a node says first that dials, because the other one listens. */
export function taken(node: 0 | 1, url: string): string[] {
  return [
    `Node ${node} cannot listen on socket '${url}': the address is taken (EADDRINUSE)`,
    'Trying to dial instead'
  ]
}

/** The socket file of a URL of ipc. */
export function pathOf(url: string): string {
  return url.replace('ipc://', '')
}
