/** `YYYY/MM/DD HH:MM:SS`, in local time. */
function timeStamp(now: Date): string {
  const two = (n: number) => String(n).padStart(2, '0')
  const date = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())]
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two)
  return `${date.join('/')} ${time.join(':')}`
}

/** Writes to standard error; the time stamp stands before the first line. */
export function log(text: string): void {
  process.stderr.write(`${timeStamp(new Date())} ${text}\n`)
}
