import * as fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Linux: resolves when the process has stopped, as by SIGSTOP. */
export async function untilStopped(pid: number): Promise<void> {
  while (!fs.readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') T ')) {
    await sleep(5)
  }
}
